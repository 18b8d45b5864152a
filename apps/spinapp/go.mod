module gotap/apps/spinapp

go 1.18
