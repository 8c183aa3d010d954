// Lists workflows, reads a page and watches it, controls a session, and decodes a refusal.
//
//	read-text ADDRESS PAGE
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	payload "coordinator.example/read-text/gen/coordinator/payload/v1"
	processing "coordinator.example/read-text/gen/coordinator/processing/v1"
)

// callTime is the deadline of a call, watchTime that of a whole watch.
const (
	callTime  = 30 * time.Second
	watchTime = 10 * time.Minute
)

const wrongWorkflow = `workflow_id: wrong
steps:
  - step_id: first
    operation: postprocessing.post_postprocessing_exekute
`

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: read-text ADDRESS PAGE")
		os.Exit(2)
	}
	if err := tour(os.Args[1], os.Args[2]); err != nil {
		describe(err)
		os.Exit(1)
	}
}

func tour(address, page string) error {
	connection, err := grpc.NewClient(address, options()...)
	if err != nil {
		return err
	}
	defer connection.Close()
	client := processing.NewProcessingServiceClient(connection)
	if err := list(client); err != nil {
		return err
	}
	if err := read(client, page); err != nil {
		return err
	}
	if err := control(client); err != nil {
		return err
	}
	return refuse(client)
}

func list(client processing.ProcessingServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	reply, err := client.GetProcessingWorkflows(ctx, &processing.GetProcessingWorkflowsRequest{})
	if err != nil {
		return err
	}
	for _, workflow := range reply.GetWorkflows() {
		fmt.Println("workflow", workflow.GetWorkflowId(), workflow.GetTitle())
	}
	return nil
}

func read(client processing.ProcessingServiceClient, page string) error {
	content, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	sent, err := datum(client, content)
	if err != nil {
		return err
	}
	sessionID, err := start(client, &processing.PostWorkflowExecuteRequest{
		WorkflowId: "read-text",
		Payloads:   map[string]*payload.Datum{"page": sent},
	})
	if err != nil {
		return err
	}
	err = watch(client, sessionID, func(event *processing.SessionEvent) {
		fmt.Println("event", event.GetSequence(), event.GetKind())
	})
	if err != nil {
		return err
	}
	session, err := get(client, sessionID)
	if err != nil {
		return err
	}
	fmt.Println("state", session.GetState())
	text := session.GetOutputs().GetFields()["text"].GetStringValue()
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Println("line", line)
	}
	return nil
}

func control(client processing.ProcessingServiceClient) error {
	parameters, err := structpb.NewStruct(map[string]any{"delay_seconds": "60s"})
	if err != nil {
		return err
	}
	sessionID, err := start(client, &processing.PostWorkflowExecuteRequest{
		WorkflowId: "three-echoes",
		Parameters: parameters,
	})
	if err != nil {
		return err
	}
	for _, action := range []processing.ControlAction{
		processing.ControlAction_CONTROL_ACTION_PAUSE,
		processing.ControlAction_CONTROL_ACTION_RESUME,
		processing.ControlAction_CONTROL_ACTION_CANCEL,
	} {
		if err := order(client, sessionID, action); err != nil {
			return err
		}
	}
	err = watch(client, sessionID, func(event *processing.SessionEvent) {
		if event.GetControlAction() != processing.ControlAction_CONTROL_ACTION_UNSPECIFIED {
			fmt.Println("control", event.GetControlAction())
		}
	})
	if err != nil {
		return err
	}
	session, err := get(client, sessionID)
	if err != nil {
		return err
	}
	fmt.Println("state", session.GetState())
	return nil
}

// refuse has a workflow checked that names an operation wrongly.
func refuse(client processing.ProcessingServiceClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	_, err := client.PutProcessingWorkflow(ctx, &processing.PutProcessingWorkflowRequest{
		Definition:   &processing.PutProcessingWorkflowRequest_Source{Source: wrongWorkflow},
		ValidateOnly: true,
	})
	if err == nil {
		return fmt.Errorf("a wrong workflow was not refused")
	}
	describe(err)
	return nil
}

// start begins a session in the background; its session_id.
func start(client processing.ProcessingServiceClient, request *processing.PostWorkflowExecuteRequest) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	request.RequestId = newID() // makes a repeat of the call safe
	request.Background = true
	reply, err := client.PostWorkflowExecute(ctx, request)
	return reply.GetSession().GetSessionId(), err
}

// watch calls told with each event from the first one, until the session has ended.
func watch(client processing.ProcessingServiceClient, sessionID string, told func(*processing.SessionEvent)) error {
	ctx, cancel := context.WithTimeout(context.Background(), watchTime)
	defer cancel()
	stream, err := client.WatchProcessingSession(ctx, &processing.WatchProcessingSessionRequest{
		SessionId:     sessionID,
		AfterSequence: proto.Int64(0),
	})
	if err != nil {
		return err
	}
	return eachUpdate(stream, func(update *processing.WatchProcessingSessionResponse) {
		if event := update.GetEvent(); event != nil {
			told(event)
		}
	})
}

func get(client processing.ProcessingServiceClient, sessionID string) (*processing.Session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	reply, err := client.GetProcessingSession(ctx, &processing.GetProcessingSessionRequest{SessionId: sessionID})
	return reply.GetSession(), err
}

func order(client processing.ProcessingServiceClient, sessionID string, action processing.ControlAction) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	_, err := client.PostSessionControl(ctx, &processing.PostSessionControlRequest{
		SessionId:     sessionID,
		ControlAction: action,
		RequestId:     newID(),
	})
	return err
}
