module gotap/apps/connectapp

go 1.19

require (
	connectrpc.com/connect v1.14.0
	golang.org/x/net v0.17.0
	google.golang.org/protobuf v1.32.0
)

require golang.org/x/text v0.13.0 // indirect
