module gotap/apps/poolapp

go 1.18
