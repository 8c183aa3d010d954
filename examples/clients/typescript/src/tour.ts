// What both programs share: the tour, over whatever client makes the calls. It prints the same as in every language.

import { readFile } from "node:fs/promises";

/** An event of a session, with its values as the contract spells them. */
export interface Told {
  sequence: bigint;
  kind: string;
  controlAction: string;
}

/** How a session stands. */
export interface Standing {
  state: string;
  text: string;
}

/** The actions that the tour orders. */
export type Action = "PAUSE" | "RESUME" | "CANCEL";

/** The calls of the tour, as a client makes them. */
export interface Coordinator {
  workflows(): Promise<{ workflowId: string; title: string }[]>;
  /** Begins a session in the background; its session_id. */
  startReading(page: Buffer): Promise<string>;
  startEchoes(delay: string): Promise<string>;
  /** Its events from the first one, until it has ended. */
  watch(sessionId: string): AsyncIterable<Told>;
  get(sessionId: string): Promise<Standing>;
  order(sessionId: string, action: Action): Promise<void>;
  /** Has the definition of a workflow checked. */
  check(source: string): Promise<void>;
  /** The lines that tell of an error of a call; undefined if it is another error. */
  describe(error: unknown): string[] | undefined;
  close(): void;
}

const WRONG_WORKFLOW = `workflow_id: wrong
steps:
  - step_id: first
    operation: postprocessing.post_postprocessing_exekute
`;

/** Runs the tour with the arguments of the command line. */
export async function main(open: (address: string) => Coordinator): Promise<void> {
  const [address, page] = process.argv.slice(2);
  if (address === undefined || page === undefined) {
    console.error("usage: ADDRESS PAGE");
    process.exitCode = 2;
    return;
  }
  const coordinator = open(address);
  try {
    await tour(coordinator, page);
  } catch (error) {
    tell(coordinator, error);
    process.exitCode = 1;
  } finally {
    coordinator.close();
  }
}

async function tour(coordinator: Coordinator, page: string): Promise<void> {
  for (const { workflowId, title } of await coordinator.workflows()) {
    console.log(`workflow ${workflowId} ${title}`);
  }
  await read(coordinator, page);
  await control(coordinator);
  await refuse(coordinator);
}

async function read(coordinator: Coordinator, page: string): Promise<void> {
  const sessionId = await coordinator.startReading(await readFile(page));
  for await (const { sequence, kind } of coordinator.watch(sessionId)) {
    console.log(`event ${sequence} ${kind}`);
  }
  const { state, text } = await coordinator.get(sessionId);
  console.log(`state ${state}`);
  for (const line of text.split("\n")) {
    console.log(`line ${line}`);
  }
}

async function control(coordinator: Coordinator): Promise<void> {
  const sessionId = await coordinator.startEchoes("60s");
  for (const action of ["PAUSE", "RESUME", "CANCEL"] as const) {
    await coordinator.order(sessionId, action);
  }
  for await (const { controlAction } of coordinator.watch(sessionId)) {
    if (controlAction !== "CONTROL_ACTION_UNSPECIFIED") {
      console.log(`control ${controlAction}`);
    }
  }
  console.log(`state ${(await coordinator.get(sessionId)).state}`);
}

async function refuse(coordinator: Coordinator): Promise<void> {
  try {
    await coordinator.check(WRONG_WORKFLOW);
  } catch (error) {
    tell(coordinator, error);
    return;
  }
  throw new Error("a wrong workflow was not refused");
}

function tell(coordinator: Coordinator, error: unknown): void {
  const lines = coordinator.describe(error);
  if (lines === undefined) {
    throw error;
  }
  lines.forEach((line) => console.log(line));
}
