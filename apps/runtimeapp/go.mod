module gotap/apps/runtimeapp

go 1.18
