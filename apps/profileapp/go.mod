module gotap/apps/profileapp

go 1.18
