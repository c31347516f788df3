import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Agent, buildConnector } from 'undici';
import packageJson from '../package.json' with { type: 'json' };

/** The `User-Agent` of every request. */
export const USER_AGENT = `mini-integration-platform/${packageJson.version}`;

export interface HttpAgentOptions {
  /** Maximum number of keep-alive connections to one host. */
  connections: number;
  connectTimeout: number;
  /** In milliseconds; 0 for none. Default: those of undici. */
  headersTimeout?: number;
  bodyTimeout?: number;
}

/**
 * A pool of connections that tolerates unrequested interim answers, as IIS and some proxies send them:
 * undici treats a `100 Continue` as the end of the connection, and the final answer is lost.
 */
export function createHttpAgent(options: HttpAgentOptions): Agent {
  const connect = buildConnector({ timeout: options.connectTimeout });
  return new Agent({
    ...options,
    connect: (to, callback) =>
      connect(to, (...[error, socket]) => {
        if (error) return callback(error, null);
        const isHttp2 = (socket as TLSSocket).alpnProtocol === 'h2';
        callback(null, isHttp2 ? socket : withoutInterimAnswers(socket));
      }),
  });
}

const BLANK_LINE = '\r\n\r\n';
const MAX_HEAD_BYTES = 16_384;
/** Every 1xx status but 101, which is the final answer in HTTP (RFC 9110, section 15.2). */
const INTERIM = /^HTTP\/1\.1 1(?!01)\d\d/;
const INTERIM_BEGIN = 'HTTP/1.1 1';
const STATUS_BYTES = 'HTTP/1.1 100'.length;
const NOTHING = Buffer.alloc(0);

/**
 * Skips interim answers. A connection carries one request at a time, so the first bytes after a write are
 * the head of an answer.
 */
function withoutInterimAnswers(socket: Socket): Socket {
  const { read, write } = socket;
  // The bytes received since the write, as long as they may be an interim answer.
  let head: Buffer | undefined;
  socket.write = (...args: unknown[]) => {
    head ??= NOTHING;
    return Reflect.apply(write, socket, args);
  };
  socket.read = (size?: number) => {
    // Node itself reads 0 bytes to have the next ones fetched.
    while (head && size !== 0) {
      const chunk: Buffer | null = read.call(socket);
      if (chunk === null) return null;
      const bytes = skipInterim(head.length > 0 ? Buffer.concat([head, chunk]) : chunk);
      head = bytes.length <= MAX_HEAD_BYTES && mayBeInterim(bytes) ? bytes : undefined;
      if (!head) return bytes;
    }
    return read.call(socket, size);
  };
  return socket;
}

function skipInterim(bytes: Buffer): Buffer {
  let rest = bytes;
  while (mayBeInterim(rest)) {
    const end = rest.indexOf(BLANK_LINE);
    if (end < 0) break;
    rest = rest.subarray(end + BLANK_LINE.length);
  }
  return rest;
}

function mayBeInterim(bytes: Buffer): boolean {
  // For nearly every answer, the first digit of its status is enough.
  const last = INTERIM_BEGIN.length - 1;
  if (bytes.length > last && bytes[last] !== INTERIM_BEGIN.charCodeAt(last)) return false;
  const status = bytes.toString('latin1', 0, STATUS_BYTES);
  if (status.length < STATUS_BYTES) return INTERIM_BEGIN.startsWith(status.slice(0, last + 1));
  return INTERIM.test(status);
}
