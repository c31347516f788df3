import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** The code of Node's error for a request that did not arrive in time. */
export const REQUEST_TIMEOUT = 'ERR_HTTP_REQUEST_TIMEOUT';

/** A request and its answer. */
interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

/** Handles one connection of a server. */
export interface Connection {
  /** Begins a request now, or when the requests before it are answered. */
  receive(exchange: Exchange): void;
  /** Sends `lastWord` after the answers that are still due, and closes the connection. */
  giveUp(error: { code?: string }, lastWord: string): void;
}

export interface ConnectionOptions {
  begin: RequestListener;
  /** The number of waiting requests in all connections of the server, and its limit. */
  total: { waiting: number; maxWaiting: number };
  /** How long a request may take to arrive. Counted anew if the connection was paused meanwhile. */
  arrivalMs: number;
  /** How long a client may take to read why its connection is closed. */
  lingerMs: number;
  /** Called when a request whose time was counted anew is late again. */
  onOverdue: () => void;
}

/** Begins the requests of a connection one at a time, and reads nothing from it while a request waits. */
export function createConnection(socket: Socket, options: ConnectionOptions): Connection {
  const { begin, total, arrivalMs, lingerMs, onOverdue } = options;
  /** The first request has begun, the others wait: Node emits all requests in the 64 kB that it read. */
  const unanswered: Exchange[] = [];
  let received = 0;
  let latest: Exchange | undefined;
  let isOverdue = false;
  let ending: { isTimeout: boolean; lastWord: string; failed: Exchange | undefined } | undefined;

  // Node resumes the socket, too: to read a body, and when the client reads its answers again.
  socket.on('resume', () => {
    if (unanswered.length > 1) socket.pause();
    else if (isOverdue && !socket.isPaused()) countAnew();
  });
  socket.once('close', () => {
    total.waiting -= Math.max(0, unanswered.length - 1);
    unanswered.length = 0;
  });

  function receive(exchange: Exchange): void {
    if (ending) return;
    received += 1;
    latest = exchange;
    unanswered.push(exchange);
    exchange.response.once('close', goOn);
    if (unanswered.length === 1) {
      begin(exchange.request, exchange.response);
      return;
    }
    total.waiting += 1;
    if (total.waiting > total.maxWaiting) socket.destroy();
    else if (unanswered.length === 2) socket.pause();
  }

  function goOn(): void {
    if (socket.destroyed) return;
    unanswered.shift();
    const [next] = unanswered;
    if (next) total.waiting -= 1;
    if (ending && (!next || next === ending.failed)) {
      end(ending);
      return;
    }
    // Deferred, so that other connections get a turn between two requests of this one.
    if (next) setImmediate(beginWaiting, next);
    // If Node paused the socket because the client does not read its answers, Node resumes it.
    const { _paused: isPausedByNode } = socket as { _paused?: boolean };
    if (unanswered.length === 1 && !isPausedByNode) socket.resume();
  }

  function beginWaiting(exchange: Exchange): void {
    if (socket.destroyed || exchange === ending?.failed) return;
    begin(exchange.request, exchange.response);
  }

  function giveUp({ code }: { code?: string }, lastWord: string): void {
    if (ending) return;
    const isTimeout = code === REQUEST_TIMEOUT;
    if (isTimeout && socket.isPaused()) {
      isOverdue = true;
      return;
    }
    const failed = latest?.request.complete === false ? latest : undefined;
    ending = { isTimeout, lastWord, failed };
    const [begun] = unanswered;
    if (!begun || (begun === failed && !begun.response.headersSent)) end(ending);
  }

  function end({ isTimeout, lastWord, failed }: NonNullable<typeof ending>): void {
    const isDue = !failed || unanswered.includes(failed);
    if (isDue && socket.writable) socket.end(lastWord);
    else socket.end();
    setTimeout(() => socket.destroy(), lingerMs).unref();
    // A late request must no longer begin. Otherwise unread bytes are discarded: closing the connection
    // with unread bytes would make the client lose the last word.
    if (isTimeout) socket.destroySoon();
    else socket.resume();
  }

  /** A request that was not read while the socket was paused gets the whole time again. */
  function countAnew(): void {
    isOverdue = false;
    const number = latest?.request.complete === false ? received : received + 1;
    const check = () => {
      const hasArrived = received > number || (received === number && latest?.request.complete);
      if (!hasArrived && !socket.destroyed) onOverdue();
    };
    // Check after the bytes that arrived while this process was busy have been read.
    setTimeout(() => setImmediate(check), arrivalMs).unref();
  }

  return { receive, giveUp };
}
