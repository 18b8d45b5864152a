module gotap/apps/connectapp

go 1.18

require (
	github.com/bufbuild/connect-go v1.1.0
	golang.org/x/net v0.0.0-20220722155237-a158d28d115b
	google.golang.org/protobuf v1.28.1
)

require golang.org/x/text v0.3.7 // indirect
