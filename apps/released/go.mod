module gotap/apps/released

go 1.18
