package readtext;

import com.coordinator.payload.v1.Datum;
import com.coordinator.processing.v1.ControlAction;
import com.coordinator.processing.v1.GetProcessingSessionRequest;
import com.coordinator.processing.v1.GetProcessingWorkflowsRequest;
import com.coordinator.processing.v1.PostSessionControlRequest;
import com.coordinator.processing.v1.PostWorkflowExecuteRequest;
import com.coordinator.processing.v1.ProcessingServiceGrpc.ProcessingServiceBlockingStub;
import com.coordinator.processing.v1.PutProcessingWorkflowRequest;
import com.coordinator.processing.v1.Session;
import com.coordinator.processing.v1.SessionEvent;
import com.coordinator.processing.v1.WatchProcessingSessionRequest;
import com.google.protobuf.ByteString;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** Each thing that a client does, once. */
final class Tour {
  private static final long CALL_S = 30;
  private static final long WATCH_S = 600;
  private static final String WRONG_WORKFLOW =
      """
      workflow_id: wrong
      steps:
        - step_id: first
          operation: postprocessing.post_postprocessing_exekute
      """;

  private final ProcessingServiceBlockingStub stub;
  private final PrintStream out;

  Tour(ProcessingServiceBlockingStub stub, PrintStream out) {
    this.stub = stub;
    this.out = out;
  }

  /** The whole tour. */
  void run(Path page) throws IOException {
    list();
    read(page);
    control();
    refuse();
  }

  private void list() {
    var reply = within(CALL_S).getProcessingWorkflows(GetProcessingWorkflowsRequest.getDefaultInstance());
    reply
        .getWorkflowsList()
        .forEach(workflow -> out.println("workflow " + workflow.getWorkflowId() + " " + workflow.getTitle()));
  }

  private void read(Path page) throws IOException {
    var content = Datum.newBuilder().setInlineBytes(ByteString.copyFrom(Files.readAllBytes(page))).build();
    var sessionId =
        start(PostWorkflowExecuteRequest.newBuilder().setWorkflowId("read-text").putPayloads("page", content));
    watch(sessionId, event -> out.println("event " + event.getSequence() + " " + event.getKind()));
    var session = get(sessionId);
    out.println("state " + session.getState());
    session
        .getOutputs()
        .getFieldsOrThrow("text")
        .getStringValue()
        .lines()
        .forEach(line -> out.println("line " + line));
  }

  private void control() {
    var delay = Value.newBuilder().setStringValue("60s").build();
    var sessionId =
        start(
            PostWorkflowExecuteRequest.newBuilder()
                .setWorkflowId("three-echoes")
                .setParameters(Struct.newBuilder().putFields("delay_seconds", delay)));
    List.of(
            ControlAction.CONTROL_ACTION_PAUSE,
            ControlAction.CONTROL_ACTION_RESUME,
            ControlAction.CONTROL_ACTION_CANCEL)
        .forEach(action -> order(sessionId, action));
    watch(
        sessionId,
        event -> {
          if (event.getControlAction() != ControlAction.CONTROL_ACTION_UNSPECIFIED) {
            out.println("control " + event.getControlAction());
          }
        });
    out.println("state " + get(sessionId).getState());
  }

  /** Has a workflow checked that names an operation wrongly. */
  private void refuse() {
    var request = PutProcessingWorkflowRequest.newBuilder().setSource(WRONG_WORKFLOW).setValidateOnly(true).build();
    try {
      within(CALL_S).putProcessingWorkflow(request);
    } catch (StatusRuntimeException error) {
      Refusal.describe(error, out);
      return;
    }
    throw new IllegalStateException("a wrong workflow was not refused");
  }

  /** Begins a session in the background; its session_id. */
  private String start(PostWorkflowExecuteRequest.Builder request) {
    request.setRequestId(newId()).setBackground(true); // the request_id makes a repeat of the call safe
    return within(CALL_S).postWorkflowExecute(request.build()).getSession().getSessionId();
  }

  /** Tells each event from the first one, until the session has ended. */
  private void watch(String sessionId, Consumer<SessionEvent> told) {
    var request = WatchProcessingSessionRequest.newBuilder().setSessionId(sessionId).setAfterSequence(0).build();
    within(WATCH_S)
        .watchProcessingSession(request)
        .forEachRemaining(
            update -> {
              if (update.hasEvent()) {
                told.accept(update.getEvent());
              }
            });
  }

  private Session get(String sessionId) {
    var request = GetProcessingSessionRequest.newBuilder().setSessionId(sessionId).build();
    return within(CALL_S).getProcessingSession(request).getSession();
  }

  private void order(String sessionId, ControlAction action) {
    within(CALL_S)
        .postSessionControl(
            PostSessionControlRequest.newBuilder()
                .setSessionId(sessionId)
                .setControlAction(action)
                .setRequestId(newId())
                .build());
  }

  private ProcessingServiceBlockingStub within(long seconds) {
    return stub.withDeadlineAfter(seconds, TimeUnit.SECONDS);
  }

  private static String newId() {
    return UUID.randomUUID().toString();
  }
}
