module gotap/apps/xrayapp

go 1.18
