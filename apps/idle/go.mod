module gotap/apps/idle

go 1.18
