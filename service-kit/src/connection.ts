import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** The code of Node's error for a request that did not arrive in time. */
export const REQUEST_TIMEOUT = 'ERR_HTTP_REQUEST_TIMEOUT';

/** A request and its answer. */
interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

/** What a server does with one of its connections. */
export interface Connection {
  /** Begins a request now, or when those before it are answered. */
  receive(exchange: Exchange): void;
  /** Sends `lastWord` behind the answers that are due, and closes. */
  giveUp(error: { code?: string }, lastWord: string): void;
}

export interface ConnectionOptions {
  begin: RequestListener;
  /** The requests that wait for others before them, in all connections of the server, and their limit. */
  total: { waiting: number; maxWaiting: number };
  /** How long a request may take to arrive, counted anew when it could not. */
  arrivalMs: number;
  /** How long a client that was given up may take to read why. */
  lingerMs: number;
  /** Told when such a request is late again. */
  onOverdue: () => void;
}

/** Begins the requests of a connection one by one, and reads nothing from it while one waits. */
export function createConnection(socket: Socket, options: ConnectionOptions): Connection {
  const { begin, total, arrivalMs, lingerMs, onOverdue } = options;
  /** The first one is begun, the others wait: Node brings all that were in the 64 kB that it read. */
  const unanswered: Exchange[] = [];
  let received = 0;
  let latest: Exchange | undefined;
  let isOverdue = false;
  let ending: { isTimeout: boolean; lastWord: string; failed: Exchange | undefined } | undefined;

  // Node resumes it as well: to read a body, and when the client takes its answers again.
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
    // Between two of its requests, others have their turn.
    if (next) setImmediate(beginWaiting, next);
    // What Node paused, because answers are not taken, Node resumes.
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
    // What came late must not be begun any more; what cannot be read is thrown away, because closing
    // with bytes unread would take the last word back.
    if (isTimeout) socket.destroySoon();
    else socket.resume();
  }

  /** A request that nobody read for a while has the whole time again. */
  function countAnew(): void {
    isOverdue = false;
    const number = latest?.request.complete === false ? received : received + 1;
    const check = () => {
      const hasArrived = received > number || (received === number && latest?.request.complete);
      if (!hasArrived && !socket.destroyed) onOverdue();
    };
    // When what has come while this process was busy has been read.
    setTimeout(() => setImmediate(check), arrivalMs).unref();
  }

  return { receive, giveUp };
}
