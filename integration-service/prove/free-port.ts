import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that systems give to whoever asks for any: 32768 and up on Linux, 49152 on macOS. */
const RANGE = { first: 10_000, count: 20_000 };

/**
 * A port of 127.0.0.1 that is free. Unlike a port that the system chose, it stays free until it is used,
 * unless somebody asks for this very port.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = RANGE.first + Math.floor(Math.random() * RANGE.count);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  await using server = createServer().listen(port, '127.0.0.1');
  return await once(server, 'listening').then(
    () => true,
    () => false,
  );
}
