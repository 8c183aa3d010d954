package main

import (
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// describe prints an error of a call by its google.rpc details.
func describe(err error) {
	refused := status.Convert(err)
	reason, rest := "", []string{}
	for _, detail := range refused.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				rest = append(rest, fmt.Sprintln("violation", violation.GetField(), violation.GetDescription()))
			}
		case *errdetails.RetryInfo:
			rest = append(rest, fmt.Sprintln("retry_after_ms", detail.GetRetryDelay().AsDuration().Milliseconds()))
		}
	}
	fmt.Println("refused", int(refused.Code()), reason, refused.Message())
	for _, line := range rest {
		fmt.Print(line)
	}
}
