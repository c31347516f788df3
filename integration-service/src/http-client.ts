import type { IncomingHttpHeaders } from 'node:http';
import { STATUS_CODES } from 'node:http';
import { Agent, type Dispatcher } from 'undici';

/** A call that brought no usable answer; the message says why, in words for the log. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly code = 'CALL_FAILED';
  /** The status, when the call failed after it had arrived. */
  readonly status: number | undefined;
  /** False when certainly not a byte of the request has left this process. */
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
  method: 'GET' | 'POST';
  /** User name and password in it are sent as Basic authentication. */
  url: URL;
  /** Sent as JSON. */
  json?: unknown;
  headers?: Record<string, string>;
  /** How much of the answer's body may come before the call fails. */
  maxBytes: number;
  /** Ends the call before its time. */
  signal?: AbortSignal | undefined;
  /** Called right before the first byte is written. What it throws keeps the request from being sent. */
  onSend?: (() => void) | undefined;
}

/** An answer whose body is still to come. The call is over when the body has been read, or given up. */
export interface HttpStream {
  status: number;
  headers: IncomingHttpHeaders;
  /** @throws {CallError} when it does not arrive whole, in time and within `maxBytes` */
  body: AsyncIterable<Buffer>;
}

export interface HttpResponse {
  status: number;
  headers: IncomingHttpHeaders;
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
  /** Keep-alive connections to one host at the most. */
  connections: number;
  /** From the call of `send` to the last byte of the body. */
  timeoutMs: number;
}

/** An HTTP client over one pool of keep-alive connections, with a deadline for every call. */
export function createHttpClient({ connections, timeoutMs }: HttpClientOptions): HttpClient {
  const agent = new Agent({
    connections,
    connectTimeout: timeoutMs,
    // These watch single steps of an answer and are coarse: the deadline is the signal's.
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  async function open(request: HttpRequest): Promise<HttpStream> {
    const { method, url, json, maxBytes, signal } = request;
    // Not AbortSignal.timeout: its timer would outlive the call and keep it in memory.
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), timeoutMs);
    let isSent = false;
    let status: number | undefined;
    const failure = (cause: unknown) => {
      clearTimeout(timer);
      const late = `no complete answer within ${timeoutMs / 1000} s`;
      const message = deadline.signal.aborted ? late : explain(cause);
      return new CallError(message, { status, isSent, cause });
    };
    const onSend = () => {
      request.onSend?.();
      isSent = true;
    };

    async function* readBody(response: Dispatcher.ResponseData): AsyncGenerator<Buffer> {
      let size = 0;
      try {
        for await (const chunk of response.body as AsyncIterable<Buffer>) {
          size += chunk.length;
          if (size > maxBytes) {
            throw new Error(`the body is larger than ${maxBytes / 1_000_000} MB`);
          }
          yield chunk;
        }
      } catch (cause) {
        throw failure(cause);
      } finally {
        clearTimeout(timer);
      }
    }

    try {
      const response = await agent.compose(callingBefore(onSend)).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers: { ...headersFor(url, json !== undefined), ...request.headers },
        body: json === undefined ? null : JSON.stringify(json),
        signal: signal ? AbortSignal.any([deadline.signal, signal]) : deadline.signal,
      });
      status = response.statusCode;
      refuseCompression(response);
      return { status, headers: response.headers, body: readBody(response) };
    } catch (cause) {
      throw failure(cause);
    }
  }

  return {
    open,
    send: async (request) => collect(await open(request)),
    close: () => agent.destroy(),
  };
}

/**
 * As much of an answer's body as a message shows, and some more: mostly all of it, which keeps the
 * connection.
 */
export async function collectBegin({ status, headers, body }: HttpStream): Promise<HttpResponse> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > 10_000) break;
  }
  return { status, headers, body: Buffer.concat(chunks) };
}

async function collect({ status, headers, body }: HttpStream): Promise<HttpResponse> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return { status, headers, body: Buffer.concat(chunks) };
}

/** Calls a function when undici has a connection and is about to write the request to it. */
function callingBefore(onSend: () => void): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => {
    const begin = handler.onRequestStart?.bind(handler);
    handler.onRequestStart = (controller, context) => {
      begin?.(controller, context);
      onSend();
    };
    return dispatch(options, handler);
  };
}

function headersFor(url: URL, hasBody: boolean): Record<string, string> {
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return {
    accept: 'application/json',
    // A few compressed kilobytes can unpack to more than memory holds.
    'accept-encoding': 'identity',
    ...(hasBody && { 'content-type': 'application/json' }),
    ...(user !== ':' && { authorization: `Basic ${Buffer.from(user).toString('base64')}` }),
  };
}

function refuseCompression({ headers, body }: Dispatcher.ResponseData): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return;
  // Without a listener, the abort that ends the body would end the process.
  body.on('error', () => {}).destroy();
  throw new Error(`the body came compressed (${encoding}), which was not asked for`);
}

/** The cause in one line. A refused connection to a name with two addresses has no message itself. */
function explain(error: unknown): string {
  if (error instanceof AggregateError && !error.message) {
    return error.errors.map((each: Error) => each.message).join(', ');
  }
  return error instanceof Error ? error.message || error.name : String(error);
}

/** True for a 2xx status. */
export function isSuccess(status: number | undefined): boolean {
  return status !== undefined && status >= 200 && status < 300;
}

/** `404 Not Found: <the begin of the body>`, or `307 Temporary Redirect to <location>`. */
export function describeResponse({ status, headers, body }: HttpResponse): string {
  const reason = [status, STATUS_CODES[status]].filter(Boolean).join(' ');
  if (status >= 300 && status < 400 && headers.location) {
    return `${reason} to ${headers.location}, and redirects are not followed`;
  }
  return body.length > 0 ? `${reason}: ${excerpt(body)}` : reason;
}

/** The first 120 characters of a body, on one line. */
export function excerpt(body: Buffer): string {
  const text = body.toString('utf8', 0, 500).replaceAll(/\s+/g, ' ').trim();
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
