module gotap/apps/fastapp

go 1.18

require github.com/valyala/fasthttp v1.40.0

require (
	github.com/andybalholm/brotli v1.0.4 // indirect
	github.com/klauspost/compress v1.15.0 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
)
