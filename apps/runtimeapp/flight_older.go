//go:build !go1.25

package main

func recordFlight(string) { panic("Go has flight recorders since 1.25") }
