module gotap/apps/http2app

go 1.18

require golang.org/x/net v0.0.0-20220722155237-a158d28d115b

require golang.org/x/text v0.3.7 // indirect
