module gotap/apps/oracle

go 1.18
