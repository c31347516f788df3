import { Readable } from 'node:stream';
import { basicAuthorization } from 'service-kit/basic-authorization';
import { messageOf } from 'service-kit/error-message';
import { createHttpAgent, USER_AGENT } from 'service-kit/http-agent';
import type { Dispatcher } from 'undici';
import { shorten } from '../shorten.ts';

/** A call failed to bring a usable answer; the message says why, in words for the log. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly code = 'CALL_FAILED';
  /** The status of the answer, if the call failed after the status had arrived. */
  readonly status: number | undefined;
  /** False if certainly no byte of the request has left this process. */
  readonly isSent: boolean;

  constructor(
    message: string,
    options: { status: number | undefined; isSent: boolean; cause?: unknown },
  ) {
    super(message, options);
    this.status = options.status;
    this.isSent = options.isSent;
  }
}

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** A user name and password in the URL are sent as Basic authentication. */
  url: URL;
  /** Sent as JSON. */
  body?: string;
  headers?: Record<string, string>;
  /** The call fails if the answer's body is larger. */
  maxBytes: number;
  /** Aborts the call. */
  signal?: AbortSignal | undefined;
  /** Called right before the first byte is written. If it throws, the request is not sent. */
  onSend?: (() => void) | undefined;
}

/** Keyed by name in lower case; any header that came more than once is an array. */
export type AnswerHeaders = Record<string, string | string[] | undefined>;

/** An answer whose body has not arrived yet. The call ends when the body has been read or closed. */
export interface HttpStream {
  status: number;
  headers: AnswerHeaders;
  /** @throws {CallError} when the body does not arrive whole, in time and within `maxBytes` */
  body: AsyncIterable<Buffer>;
}

export interface HttpResponse {
  status: number;
  headers: AnswerHeaders;
  body: Buffer;
}

export interface HttpClient {
  /**
   * One request and its whole answer, whatever the status. Redirects are not followed.
   * @throws {CallError} when the answer does not arrive whole, in time and within `maxBytes`
   */
  send(request: HttpRequest): Promise<HttpResponse>;
  /**
   * The same, without waiting for the body.
   * @throws {CallError} when no answer begins in time
   */
  open(request: HttpRequest): Promise<HttpStream>;
  /** Ends all connections. */
  close(): Promise<void>;
}

export interface HttpClientOptions {
  /** The maximum number of keep-alive connections to one host. */
  connections: number;
  /** From the call of `send` to the last byte of the body. */
  timeoutMs: number;
}

/** An HTTP client over one pool of keep-alive connections, with a deadline for every call. */
export function createHttpClient({ connections, timeoutMs }: HttpClientOptions): HttpClient {
  const agent = createHttpAgent({
    connections,
    connectTimeout: timeoutMs,
    // These limit single steps of an answer, and coarsely: `timeoutMs` limits the whole call instead.
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  /**
   * Sends a request and reports its answer to the receiver. Uses `agent.dispatch`, because `agent.request`,
   * which is built on it, takes half as long again for a short answer: it makes a stream of each body.
   */
  function call(request: HttpRequest, receiver: Receiver): Call {
    const { method, url, body, headers, maxBytes, signal } = request;
    let controller: Dispatcher.DispatchController | undefined;
    let isOver = false;
    let isSent = false;
    let status: number | undefined;
    let encoding: string | undefined;
    let size = 0;

    function end(): void {
      isOver = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
    function fail(cause: unknown): void {
      if (isOver) return;
      end();
      const message = messageOf(cause);
      controller?.abort(cause instanceof Error ? cause : new Error(message));
      receiver.onFailure(new CallError(message, { status, isSent, cause }));
    }
    const onAbort = () => fail(signal?.reason);
    const late = `no complete answer within ${timeoutMs / 1000} s`;
    const timer = setTimeout(() => fail(new Error(late)), timeoutMs);
    signal?.addEventListener('abort', onAbort);

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(started) {
        controller = started;
        if (isOver) return controller.abort(new Error('given up before there was a connection'));
        request.onSend?.();
        isSent = true;
      },
      onResponseStart(_controller, statusCode, responseHeaders) {
        if (statusCode < 200) return;
        status = statusCode;
        encoding = encodingOf(responseHeaders);
        receiver.onHead(status, responseHeaders);
      },
      onResponseData(_controller, chunk) {
        // Not checked in the head: an answer without a body may name the encoding that a body would have.
        if (encoding !== undefined) {
          throw new Error(`the body came compressed (${encoding}), which was not asked for`);
        }
        size += chunk.length;
        if (size > maxBytes) throw new Error(`the body is larger than ${maxBytes / 1_000_000} MB`);
        receiver.onData(chunk);
      },
      onResponseEnd() {
        end();
        receiver.onEnd();
      },
      onResponseError: (_controller, error) => fail(error),
    };
    if (signal?.aborted) onAbort();
    else {
      agent.dispatch(
        {
          origin: url.origin,
          path: url.pathname + url.search,
          method,
          headers: { ...headersFor(url, body !== undefined), ...headers },
          body: body ?? null,
        },
        handler,
      );
    }
    return {
      pause: () => controller?.pause(),
      resume: () => controller?.resume(),
      giveUp: () => fail(new Error('given up')),
    };
  }

  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        const chunks: Buffer[] = [];
        let head: Omit<HttpResponse, 'body'>;
        call(request, {
          onHead(status, headers) {
            head = { status, headers };
          },
          onData: (chunk) => chunks.push(chunk),
          onEnd: () => resolve({ ...head, body: Buffer.concat(chunks) }),
          onFailure: reject,
        });
      }),

    open: (request) =>
      new Promise((resolve, reject) => {
        let body: Readable | undefined;
        const { pause, resume, giveUp } = call(request, {
          onHead(status, headers) {
            body = new Readable({
              read: resume,
              destroy(error, callback) {
                giveUp();
                callback(error);
              },
            });
            // Without a listener, an error before anybody reads would be uncaught. Readers still get it.
            body.on('error', () => {});
            resolve({ status, headers, body });
          },
          onData: (chunk) => body?.push(chunk) || pause(),
          onEnd: () => body?.push(null),
          onFailure: (error) => (body ? body.destroy(error) : reject(error)),
        });
      }),

    close: () => agent.destroy(),
  };
}

/** Gets an answer as it arrives: its head, its body, and at last either `onEnd` or `onFailure`. */
interface Receiver {
  onHead(status: number, headers: AnswerHeaders): void;
  onData(chunk: Buffer): void;
  onEnd(): void;
  onFailure(error: CallError): void;
}

interface Call {
  pause(): void;
  resume(): void;
  giveUp(): void;
}

function headersFor(url: URL, hasBody: boolean): Record<string, string> {
  const authorization = basicAuthorization(url);
  return {
    'user-agent': USER_AGENT,
    accept: 'application/json',
    // A few compressed kilobytes can unpack to more than memory holds.
    'accept-encoding': 'identity',
    ...(hasBody && { 'content-type': 'application/json' }),
    ...(authorization && { authorization }),
  };
}

/** The codings of a body, a case-insensitive list (RFC 9110, section 8.4); undefined if there are none. */
function encodingOf(headers: AnswerHeaders): string | undefined {
  const codings = String(headers['content-encoding'] ?? '').split(',');
  const real = codings.filter((coding) => !['', 'identity'].includes(coding.trim().toLowerCase()));
  return real.length > 0 ? shorten(codings.join(','), 60) : undefined;
}
