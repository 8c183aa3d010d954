// Retries for Connect, which has no policy of its own: the coordinator's delay (grpc-retry-pushback-ms) goes before
// the backoff, and a negative one says not to try again. Streams are not repeated: resume them by after_sequence.

import { setTimeout } from "node:timers/promises";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

const MAX_ATTEMPTS = 4;
const INITIAL_BACKOFF_MS = 50;
const RETRYABLE = new Set([Code.Unavailable, Code.ResourceExhausted]);

/** Repeats unary calls that failed; what may be repeated is, since every mutating call has a request_id. */
export const retries: Interceptor = (next) => async (request) => {
  for (let attempt = 1; ; attempt++) {
    try {
      if (attempt > 1) {
        request.header.set("grpc-previous-rpc-attempts", String(attempt - 1));
      }
      return await next(request);
    } catch (error) {
      const delay = delayAfter(error, attempt);
      if (request.stream || delay === undefined) {
        throw error;
      }
      await setTimeout(delay, undefined, { signal: request.signal });
    }
  }
};

/** Milliseconds until the next attempt; undefined if there is none. */
function delayAfter(error: unknown, attempt: number): number | undefined {
  if (!(error instanceof ConnectError) || !RETRYABLE.has(error.code) || attempt === MAX_ATTEMPTS) {
    return undefined;
  }
  const pushback = error.metadata.get("grpc-retry-pushback-ms");
  if (pushback === null) {
    return INITIAL_BACKOFF_MS * 2 ** (attempt - 1) * (0.8 + 0.4 * Math.random());
  }
  return /^\d+$/.test(pushback) ? Number(pushback) : undefined;
}
