package readtext;

import com.coordinator.processing.v1.ProcessingServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Lists workflows, reads a page and watches it, controls a session, and decodes a refusal: ReadText ADDRESS PAGE. */
public final class ReadText {
  private ReadText() {}

  public static void main(String[] arguments) throws IOException {
    if (arguments.length != 2) {
      System.err.println("usage: ReadText ADDRESS PAGE");
      System.exit(2);
    }
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
    ManagedChannel channel = Channels.open(arguments[0]);
    try {
      new Tour(ProcessingServiceGrpc.newBlockingStub(channel), out).run(Path.of(arguments[1]));
    } catch (StatusRuntimeException error) {
      Refusal.describe(error, out);
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }
}
