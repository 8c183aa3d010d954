// Lists workflows, reads a page and watches it, controls a session, and decodes a refusal, with @grpc/grpc-js: ADDRESS PAGE

import { randomUUID } from "node:crypto";
import * as grpc from "@grpc/grpc-js";
import {
  ControlAction,
  controlActionToJSON,
  eventKindToJSON,
  type GetProcessingSessionResponse,
  type GetProcessingWorkflowsResponse,
  PostSessionControlRequest,
  type PostSessionControlResponse,
  PostWorkflowExecuteRequest,
  type PostWorkflowExecuteResponse,
  ProcessingServiceClient,
  PutProcessingWorkflowRequest,
  type PutProcessingWorkflowResponse,
  sessionStateToJSON,
  WatchProcessingSessionRequest,
  type WatchProcessingSessionResponse,
  GetProcessingSessionRequest,
  GetProcessingWorkflowsRequest,
} from "../gen/ts-proto/coordinator/processing/v1/processing.js";
import { BadRequest, ErrorInfo, RetryInfo } from "../gen/ts-proto/google/rpc/error_details.js";
import { Status } from "../gen/ts-proto/google/rpc/status.js";
import { type Action, type Coordinator, main, type Standing, type Told } from "./tour.js";

const CALL_MS = 30_000;
const WATCH_MS = 600_000;

// What may be repeated is, since every mutating call has a request_id. The coordinator's own delay
// (grpc-retry-pushback-ms) goes before the backoff.
const RETRIES = {
  methodConfig: [
    {
      name: [{ service: "coordinator.processing.v1.ProcessingService" }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.05s",
        maxBackoff: "0.1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
      },
    },
  ],
};

const OPTIONS = {
  "grpc.service_config": JSON.stringify(RETRIES),
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 20_000,
};

type Answer<Reply> = (error: grpc.ServiceError | null, reply: Reply) => void;

class GrpcCoordinator implements Coordinator {
  private readonly client: ProcessingServiceClient;

  constructor(address: string) {
    // grpc.credentials.createSsl() where it crosses machines
    this.client = new ProcessingServiceClient(address, grpc.credentials.createInsecure(), OPTIONS);
  }

  async workflows(): Promise<{ workflowId: string; title: string }[]> {
    const request = GetProcessingWorkflowsRequest.create();
    const reply = await promised<GetProcessingWorkflowsResponse>((answer) =>
      this.client.getProcessingWorkflows(request, new grpc.Metadata(), within(CALL_MS), answer),
    );
    return reply.workflows;
  }

  async startReading(page: Buffer): Promise<string> {
    const content = { $case: "inlineBytes", value: page } as const;
    return this.start(PostWorkflowExecuteRequest.create({ workflowId: "read-text", payloads: { page: { content } } }));
  }

  async startEchoes(delay: string): Promise<string> {
    const parameters = { delay_seconds: delay };
    return this.start(PostWorkflowExecuteRequest.create({ workflowId: "three-echoes", parameters }));
  }

  private async start(request: PostWorkflowExecuteRequest): Promise<string> {
    request.requestId = randomUUID(); // makes a repeat of the call safe
    request.background = true;
    const reply = await promised<PostWorkflowExecuteResponse>((answer) =>
      this.client.postWorkflowExecute(request, new grpc.Metadata(), within(CALL_MS), answer),
    );
    return reply.session?.sessionId ?? "";
  }

  async *watch(sessionId: string): AsyncIterable<Told> {
    const request = WatchProcessingSessionRequest.create({ sessionId, afterSequence: 0n });
    const call = this.client.watchProcessingSession(request, new grpc.Metadata(), within(WATCH_MS));
    try {
      for await (const { update } of call as AsyncIterable<WatchProcessingSessionResponse>) {
        if (update?.$case === "event") {
          const { sequence, kind, controlAction } = update.value;
          yield { sequence, kind: eventKindToJSON(kind), controlAction: controlActionToJSON(controlAction) };
        }
      }
    } finally {
      call.cancel(); // leaving the loop alone would not end the call
    }
  }

  async get(sessionId: string): Promise<Standing> {
    const request = GetProcessingSessionRequest.create({ sessionId });
    const { session } = await promised<GetProcessingSessionResponse>((answer) =>
      this.client.getProcessingSession(request, new grpc.Metadata(), within(CALL_MS), answer),
    );
    const text: unknown = session?.outputs?.["text"];
    return { state: sessionStateToJSON(session?.state ?? 0), text: typeof text === "string" ? text : "" };
  }

  async order(sessionId: string, action: Action): Promise<void> {
    const controlAction = ControlAction[`CONTROL_ACTION_${action}`];
    const request = PostSessionControlRequest.create({ sessionId, controlAction, requestId: randomUUID() });
    await promised<PostSessionControlResponse>((answer) =>
      this.client.postSessionControl(request, new grpc.Metadata(), within(CALL_MS), answer),
    );
  }

  async check(source: string): Promise<void> {
    const request = PutProcessingWorkflowRequest.create({
      definition: { $case: "source", value: source },
      validateOnly: true,
    });
    await promised<PutProcessingWorkflowResponse>((answer) =>
      this.client.putProcessingWorkflow(request, new grpc.Metadata(), within(CALL_MS), answer),
    );
  }

  describe(error: unknown): string[] | undefined {
    return error instanceof Error && "metadata" in error ? described(error as grpc.ServiceError) : undefined;
  }

  close(): void {
    this.client.close();
  }
}

function promised<Reply>(call: (answer: Answer<Reply>) => unknown): Promise<Reply> {
  return new Promise((resolve, reject) => call((error, reply) => (error === null ? resolve(reply) : reject(error))));
}

function within(milliseconds: number): Partial<grpc.CallOptions> {
  return { deadline: Date.now() + milliseconds };
}

/** grpc-js leaves the details in their trailer: a google.rpc.Status, each detail an Any with its type behind a slash. */
function described(error: grpc.ServiceError): string[] {
  const trailer = error.metadata.get("grpc-status-details-bin")[0];
  const status = trailer instanceof Buffer ? Status.decode(trailer) : Status.create();
  let reason = "";
  const rest: string[] = [];
  for (const { typeUrl, value } of status.details) {
    switch (typeUrl.slice(typeUrl.lastIndexOf("/") + 1)) {
      case "google.rpc.ErrorInfo":
        reason = ErrorInfo.decode(value).reason;
        break;
      case "google.rpc.BadRequest":
        for (const { field, description } of BadRequest.decode(value).fieldViolations) {
          rest.push(`violation ${field} ${description}`);
        }
        break;
      case "google.rpc.RetryInfo": {
        const { seconds = 0n, nanos = 0 } = RetryInfo.decode(value).retryDelay ?? {};
        rest.push(`retry_after_ms ${Number(seconds) * 1000 + nanos / 1e6}`);
      }
    }
  }
  return [`refused ${error.code} ${reason} ${error.details}`, ...rest];
}

await main((address) => new GrpcCoordinator(address));
