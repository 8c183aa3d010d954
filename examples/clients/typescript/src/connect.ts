// Lists workflows, reads a page and watches it, controls a session, and decodes a refusal, with Connect: ADDRESS PAGE

import { randomUUID } from "node:crypto";
import type { DescEnum } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  ControlAction,
  ControlActionSchema,
  EventKindSchema,
  ProcessingService,
  SessionStateSchema,
} from "../gen/es/coordinator/processing/v1/processing_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/es/google/rpc/error_details_pb.js";
import { retries } from "./retries.js";
import { type Action, type Coordinator, main, type Standing, type Told } from "./tour.js";

const CALL_MS = 30_000;
const WATCH_MS = 600_000;

class ConnectCoordinator implements Coordinator {
  private readonly session: Http2SessionManager;
  private readonly client: Client<typeof ProcessingService>;

  constructor(address: string) {
    const baseUrl = `http://${address}`; // https:// where it crosses machines
    this.session = new Http2SessionManager(baseUrl, { pingIntervalMs: 10_000, pingTimeoutMs: 20_000 });
    const transport = createGrpcTransport({
      baseUrl,
      sessionManager: this.session,
      interceptors: [retries],
      defaultTimeoutMs: CALL_MS,
    });
    this.client = createClient(ProcessingService, transport);
  }

  async workflows(): Promise<{ workflowId: string; title: string }[]> {
    return (await this.client.getProcessingWorkflows({})).workflows;
  }

  async startReading(page: Buffer): Promise<string> {
    const content = { case: "inlineBytes", value: page } as const;
    return this.start({ workflowId: "read-text", payloads: { page: { content } } });
  }

  async startEchoes(delay: string): Promise<string> {
    return this.start({ workflowId: "three-echoes", parameters: { delay_seconds: delay } });
  }

  private async start(request: Parameters<typeof this.client.postWorkflowExecute>[0]): Promise<string> {
    const requestId = randomUUID(); // makes a repeat of the call safe
    const reply = await this.client.postWorkflowExecute({ ...request, requestId, background: true });
    return reply.session?.sessionId ?? "";
  }

  async *watch(sessionId: string): AsyncIterable<Told> {
    const left = new AbortController(); // leaving the loop alone would not end the call
    const options = { timeoutMs: WATCH_MS, signal: left.signal };
    try {
      for await (const { update } of this.client.watchProcessingSession({ sessionId, afterSequence: 0n }, options)) {
        if (update.case === "event") {
          const { sequence, kind, controlAction } = update.value;
          yield {
            sequence,
            kind: nameOf(EventKindSchema, kind),
            controlAction: nameOf(ControlActionSchema, controlAction),
          };
        }
      }
    } finally {
      left.abort();
    }
  }

  async get(sessionId: string): Promise<Standing> {
    const { session } = await this.client.getProcessingSession({ sessionId });
    const text = session?.outputs?.["text"];
    return {
      state: nameOf(SessionStateSchema, session?.state ?? 0),
      text: typeof text === "string" ? text : "",
    };
  }

  async order(sessionId: string, action: Action): Promise<void> {
    const controlAction = ControlAction[action];
    await this.client.postSessionControl({ sessionId, controlAction, requestId: randomUUID() });
  }

  async check(source: string): Promise<void> {
    await this.client.putProcessingWorkflow({ definition: { case: "source", value: source }, validateOnly: true });
  }

  describe(error: unknown): string[] | undefined {
    if (!(error instanceof ConnectError)) {
      return undefined;
    }
    const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? "";
    const violations = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
    const delays = error.findDetails(RetryInfoSchema).flatMap(({ retryDelay }) => retryDelay ?? []);
    return [
      `refused ${error.code} ${reason} ${error.rawMessage}`,
      ...violations.map(({ field, description }) => `violation ${field} ${description}`),
      ...delays.map((delay) => `retry_after_ms ${durationMs(delay)}`),
    ];
  }

  close(): void {
    this.session.abort();
  }
}

/** The name of a value as the contract spells it. */
function nameOf(schema: DescEnum, value: number): string {
  return schema.value[value]?.name ?? String(value);
}

await main((address) => new ConnectCoordinator(address));
