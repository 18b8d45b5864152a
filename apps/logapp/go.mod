module gotap/apps/logapp

go 1.18
