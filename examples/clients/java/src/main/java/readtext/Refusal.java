package readtext;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.Durations;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;

/** What an error of a call says. */
final class Refusal {
  private Refusal() {}

  /** Prints it by its google.rpc details. */
  static void describe(StatusRuntimeException error, PrintStream out) {
    Status status = StatusProto.fromThrowable(error);
    String reason = "";
    List<String> rest = new ArrayList<>();
    try {
      for (Any detail : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          reason = detail.unpack(ErrorInfo.class).getReason();
        } else if (detail.is(BadRequest.class)) {
          for (BadRequest.FieldViolation violation : detail.unpack(BadRequest.class).getFieldViolationsList()) {
            rest.add("violation " + violation.getField() + " " + violation.getDescription());
          }
        } else if (detail.is(RetryInfo.class)) {
          rest.add("retry_after_ms " + Durations.toMillis(detail.unpack(RetryInfo.class).getRetryDelay()));
        }
      }
    } catch (InvalidProtocolBufferException damaged) {
      throw new IllegalStateException(damaged);
    }
    out.println("refused " + status.getCode() + " " + reason + " " + status.getMessage());
    rest.forEach(out::println);
  }
}
