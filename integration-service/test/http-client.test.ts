import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  type CallError,
  createHttpClient,
  type HttpClientOptions,
  type HttpRequest,
} from '../src/http/client.ts';
import { setUpService, startHttpServer, startTcpServer } from './support.ts';

function setUp(options: Partial<HttpClientOptions> = {}) {
  const client = createHttpClient({ connections: 4, timeoutMs: 5_000, ...options });
  onTestFinished(() => client.close());
  return (url: string, request: Partial<HttpRequest> = {}) =>
    client.send({ method: 'GET', maxBytes: 1_000, ...request, url: new URL(url) });
}

const failure = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: CallError) => error,
  );

/** Writes a byte every 5 ms until the client stops listening. */
function drip(write: (text: string) => void, until: (stop: () => void) => void) {
  const timer = setInterval(() => write('x'), 5);
  until(() => clearInterval(timer));
}

describe('a call', () => {
  it('sends JSON, the query and what it accepts', async () => {
    const url = await startHttpServer(async (request, response) => {
      request.setEncoding('utf8');
      let body = '';
      for await (const chunk of request) body += chunk;
      const { method, url, headers } = request;
      response.end(JSON.stringify({ method, url, headers, body }));
    });
    const response = await setUp()(`${url}/a/b?c=d&e`, {
      method: 'POST',
      body: JSON.stringify({ f: 'ü' }),
    });
    expect(response.status).toBe(200);
    expect(JSON.parse(response.body.toString())).toMatchObject({
      method: 'POST',
      url: '/a/b?c=d&e',
      headers: {
        'user-agent': 'mini-integration-platform/1.0.0',
        accept: 'application/json',
        'accept-encoding': 'identity',
        'content-type': 'application/json',
      },
      body: '{"f":"ü"}',
    });
  });

  it('sends user name and password of the URL as Basic authentication, and only then', async () => {
    const seen: (string | undefined)[] = [];
    const url = await startHttpServer((request, response) => {
      seen.push(request.headers.authorization);
      response.end();
    });
    const send = setUp();
    await send(url);
    await send(url.replace('//', '//jane:p%40ss@'));
    expect(seen).toEqual([undefined, `Basic ${Buffer.from('jane:p@ss').toString('base64')}`]);
  });

  it('uses connections again, and no more at once than it is given', async () => {
    const ports = new Set<number | undefined>();
    const allBusy = Promise.withResolvers<void>();
    const url = await startHttpServer(async (request, response) => {
      ports.add(request.socket.remotePort);
      if (ports.size === 4) allBusy.resolve();
      await allBusy.promise;
      response.end();
    });
    const send = setUp({ connections: 4 });
    await Promise.all(Array.from({ length: 40 }, () => send(url)));
    for (let i = 0; i < 10; i++) await send(url);
    expect(ports.size).toBe(4);
  });

  it('may end by a signal', async () => {
    const stop = new AbortController();
    const url = await startHttpServer(() => stop.abort(new Error('enough')));
    const error = await failure(setUp()(url, { signal: stop.signal }));
    expect(error?.message).toBe('enough');
  });
});

describe('the deadline of a call', () => {
  const timeoutMs = 100;
  const late = 'no complete answer within 0.1 s';

  it('ends a silent server', async () => {
    const url = await startTcpServer(() => {});
    expect(await failure(setUp({ timeoutMs })(url))).toMatchObject({
      message: late,
      status: undefined,
    });
  });

  it('ends a body that drips for ever', async () => {
    const url = await startHttpServer((_request, response) =>
      drip(
        (text) => response.write(text),
        (stop) => response.on('close', stop),
      ),
    );
    // Long enough for the headers to arrive on a busy machine.
    const error = await failure(setUp({ timeoutMs: 3_000 })(url));
    expect(error).toMatchObject({ message: 'no complete answer within 3 s', status: 200 });
  });

  it('ends headers that drip for ever', async () => {
    const url = await startTcpServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      drip(
        (text) => socket.write(`${text}: y\r\n`),
        (stop) => socket.on('close', stop),
      );
    });
    expect((await failure(setUp({ timeoutMs, connections: 1 })(url)))?.message).toBe(late);
  });
});

describe('an answer that does not arrive whole', () => {
  const answers = {
    'a body shorter than it said': 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[{"id":"a"}]',
    'chunks without an end': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n',
    'no answer at all': '',
    'no HTTP': 'SSH-2.0-OpenSSH_9.2\r\n',
    'headers without an end': `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(40_000)}`,
  };
  it.each(Object.entries(answers))('is a failure that says why: %s', async (_, answer) => {
    const url = await startTcpServer((socket) => socket.once('data', () => socket.end(answer)));
    const error = await failure(setUp()(url));
    expect(error?.name).toBe('CallError');
    expect(error?.message).toMatch(/\w{4}/);
  });

  it('is a failure when nobody listens, at each address of the name', async () => {
    const url = await startHttpServer(() => {});
    const { port } = new URL(url);
    const send = setUp();
    expect((await failure(send('http://127.0.0.1:1')))?.message).toContain('ECONNREFUSED');
    expect((await failure(send('http://localhost:1')))?.message).toContain('ECONNREFUSED');
    expect((await failure(send(`http://nowhere.invalid:${port}`)))?.message).toContain(
      'nowhere.invalid',
    );
  });
});

describe('the body of an answer', () => {
  it('comes after the answers that only announce it', async () => {
    const url = await startTcpServer((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n');
        socket.end('HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok');
      });
    });
    const client = createHttpClient({ connections: 1, timeoutMs: 5_000 });
    onTestFinished(() => client.close());
    const { status, body } = await client.open({ method: 'GET', url: new URL(url), maxBytes: 9 });
    expect([status, String((await Array.fromAsync(body))[0])]).toEqual([201, 'ok']);
  });

  it('comes after a 100 that nobody asked for, to a POST as well', async () => {
    let posts = 0;
    const url = await startTcpServer((socket) => {
      socket.on('data', () => {
        posts += 1;
        socket.write('HTTP/1.1 100 Continue\r\n\r\n');
        socket.write('HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok');
      });
    });
    const { status, body } = await setUp()(url, { method: 'POST', body: '{}' });
    expect([status, String(body), posts]).toEqual([201, 'ok', 1]);
  });

  it('is read as fast as it is taken, and no further when nobody takes it', async () => {
    let written = 0;
    const closed = Promise.withResolvers<void>();
    const url = await startHttpServer((_request, response) => {
      response.on('close', closed.resolve);
      const pump = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536))) written += 65_536;
        response.once('drain', pump);
      };
      pump();
    });
    const client = createHttpClient({ connections: 1, timeoutMs: 5_000 });
    onTestFinished(() => client.close());
    const request = { method: 'GET', url: new URL(url), maxBytes: 1e12 } as const;
    const { body } = await client.open(request);
    for (let turn = 0; turn < 5_000; turn++) await new Promise(setImmediate);
    // The system's buffers on the way hold some megabytes.
    expect(written).toBeLessThan(50_000_000);
    let taken = 0;
    for await (const chunk of body) {
      taken += chunk.length;
      if (taken > 100_000_000) break;
    }
    await closed.promise;
  });

  it('may be as large as it is allowed to be, and not a byte larger', async () => {
    const url = await startHttpServer((_request, response) => response.end('x'.repeat(1_000)));
    const send = setUp();
    expect((await send(url, { maxBytes: 1_000 })).body).toHaveLength(1_000);
    expect(await failure(send(url, { maxBytes: 999 }))).toMatchObject({
      message: 'the body is larger than 0.000999 MB',
    });
  });

  it('is not read on when it is too large', async () => {
    const closed = Promise.withResolvers<void>();
    const url = await startHttpServer((_request, response) => {
      response.on('close', closed.resolve);
      const pump = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        response.once('drain', pump);
      };
      pump();
    });
    expect((await failure(setUp()(url, { maxBytes: 1_000_000 })))?.message).toBe(
      'the body is larger than 1 MB',
    );
    await closed.promise;
  });

  it.each(['identity', 'Identity', 'identity, identity', ' , identity', ''])(
    'is taken when it is not compressed, in whatever way that is said: %j',
    async (encoding) => {
      const url = await startHttpServer((_request, response) => {
        response.setHeader('content-encoding', [encoding, encoding]);
        response.end('[]');
      });
      expect(String((await setUp()(url)).body)).toBe('[]');
    },
  );

  it.each([204, 304])('may be missing, however it would be compressed: %d', async (status) => {
    const url = await startHttpServer((_request, response) => {
      response.writeHead(status, { 'content-encoding': 'gzip' }).end();
    });
    expect(await setUp()(url)).toMatchObject({ status, body: Buffer.alloc(0) });
  });

  it.each(['gzip', 'gzip, gzip', 'identity, GZIP'])(
    'is refused when it comes compressed (%s), since it could unpack to any size',
    async (encoding) => {
      const url = await startHttpServer((_request, response) => {
        response.setHeader('content-encoding', encoding);
        response.end(gzipSync('[]'));
      });
      expect((await failure(setUp()(url)))?.message).toBe(
        `the body came compressed (${encoding}), which was not asked for`,
      );
    },
  );
});

describe('the poller with real servers', () => {
  it('fails a poll whose answer is too large, broken off or endless, and polls again', async () => {
    let polls = 0;
    const crmUrl = await startHttpServer((_request, response) => {
      polls += 1;
      if (polls === 1) response.end(`[${' '.repeat(20_000)}]`);
      else if (polls === 2) {
        response.writeHead(200, { 'content-length': 1_000 });
        response.write('[{"id":"a"},', () => response.destroy());
      } else if (polls === 3) {
        response.write('[{"id":"a"},');
        drip(
          () => response.write(' '),
          (stop) => response.on('close', stop),
        );
      } else response.end('[{"id":"a"}]');
    });
    const { poller, messages, keysOf } = await setUpService({
      crmUrl,
      maxRetries: 3,
      maxResponseBytes: 10_000,
      requestTimeoutMs: 200,
    });
    await poller.runCycle();
    expect(messages('error')).toEqual([
      'Failed to fetch customers (Attempt 1/3): the body is larger than 0.01 MB',
      'Failed to fetch customers (Attempt 2/3): other side closed',
      'Failed to fetch customers (Attempt 3/3): no complete answer within 0.2 s',
    ]);
    expect(await keysOf('pending')).toEqual([]);
    await poller.runCycle();
    expect(await keysOf('pending')).toEqual(['a']);
  });
});

it.each([
  [302, '302 Found to /a, /b, and redirects are not followed'],
  [
    200,
    'expected a JSON array of customers, but got broken JSON (text/html,text/plain): <h1>Sign in',
  ],
])('the poller says what it met also when a header came twice: %d', async (status, reason) => {
  const head = `HTTP/1.1 ${status} \r\nlocation: /a\r\nlocation: /b\r\ncontent-type: text/html\r\ncontent-type: text/plain`;
  const crmUrl = await startTcpServer((socket) => {
    socket.once('data', () => socket.end(`${head}\r\n\r\n<h1>Sign in`));
  });
  const { poller, messages } = await setUpService({ crmUrl, maxRetries: 1 });
  await poller.runCycle();
  expect(messages('error')).toEqual([`Failed to fetch customers (Attempt 1/1): ${reason}`]);
});

it('the poller names a customer whose id is a long number with all its digits, and no deep one', async () => {
  const deep = '['.repeat(2_000_000) + ']'.repeat(2_000_000);
  const crmUrl = await startHttpServer((_request, response) =>
    response.end(`[{"id":12345678901234567890},${deep},{"id":"b","more":${deep}},{"id":"c"}]`),
  );
  const { poller, messages, keysOf } = await setUpService({ crmUrl });
  await poller.runCycle();
  expect(messages('warn')).toEqual([
    'Skipping a record: position 0, id 12345678901234567890: its id is not a string.',
    'Skipping a record: position 1: it is no object.',
  ]);
  expect(await keysOf('pending')).toEqual(['b', 'c']);
});

it('the poller reads a list that has always one more page in parts, one a poll', async () => {
  const asked: number[] = [];
  const url = await startHttpServer((request, response) => {
    const page = Number(new URL(`http://crm${request.url}`).searchParams.get('page'));
    asked.push(page);
    response.setHeader('link', `</customers?page=${page + 1}>; rel="next"`);
    response.end(JSON.stringify([{ id: `customer-${page}` }]));
  });
  const { poller, keysOf } = await setUpService({ crmUrl: `${url}/customers` });
  // The next poll begins at the last page that had records.
  for (const first of [0, 999]) {
    asked.length = 0;
    await poller.runCycle();
    expect(asked).toEqual(Array.from({ length: 1_000 }, (_, page) => first + page));
    const ids = Array.from({ length: first + 1_000 }, (_, page) => `customer-${page}`);
    expect(await keysOf('pending')).toEqual(ids);
  }
}, 60_000);

describe('whether a request was sent', () => {
  const post = { method: 'POST', body: '{}' } as const;

  it('is known to be no when nobody listens', async () => {
    expect(await failure(setUp()('http://127.0.0.1:1/', post))).toMatchObject({ isSent: false });
  });

  it.each(['nowhere.invalid', 'nobody.nowhere.invalid'])(
    'is known to be no when there is no such host: %s',
    async (host) => {
      const error = await failure(setUp()(`http://${host}/`, post));
      expect(error).toMatchObject({ isSent: false });
      expect(error?.message).toMatch(/ENOTFOUND|EAI_AGAIN/);
    },
  );

  it('is yes when no answer came, or half of one', async () => {
    const silent = await startHttpServer(() => {});
    expect(await failure(setUp({ timeoutMs: 3_000 })(silent, post))).toMatchObject({
      isSent: true,
    });
    const reset = await startTcpServer((socket) => {
      socket.once('data', () => socket.destroy());
    });
    expect(await failure(setUp()(reset, post))).toMatchObject({ isSent: true });
    const half = await startTcpServer((socket) => {
      socket.write('HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{');
      socket.once('data', () => socket.end());
    });
    expect(await failure(setUp()(half, post))).toMatchObject({ isSent: true, status: 201 });
  });

  it('is no, then and later, when it ended while it waited for a connection', async () => {
    const seen: (string | undefined)[] = [];
    const answer = Promise.withResolvers<void>();
    const url = await startHttpServer(async (request, response) => {
      seen.push(request.url);
      await answer.promise;
      response.end();
    });
    const send = setUp({ connections: 1 });
    const busy = send(`${url}/busy`);
    const stop = new AbortController();
    const waiting = failure(send(`${url}/waiting`, { ...post, signal: stop.signal }));
    stop.abort(new Error('enough'));
    expect(await waiting).toMatchObject({ isSent: false, message: 'enough' });
    expect(await failure(send(url, { ...post, signal: stop.signal }))).toMatchObject({
      isSent: false,
    });
    answer.resolve();
    await busy;
    await send(`${url}/next`);
    expect(seen).toEqual(['/busy', '/next']);
  });

  it('is decided at the last moment: what is thrown then keeps every byte of it back', async () => {
    let bytes = 0;
    const url = await startTcpServer((socket) => {
      socket.on('data', (chunk) => {
        bytes += chunk.length;
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      });
    });
    const cause = new Error('too late');
    const send = setUp({ connections: 1 });
    const onSend = () => {
      throw cause;
    };
    expect(await failure(send(url, { ...post, onSend }))).toMatchObject({ isSent: false, cause });
    expect(bytes).toBe(0);
    const sending = vi.fn();
    expect((await send(url, { ...post, onSend: sending })).status).toBe(200);
    expect(sending).toHaveBeenCalledOnce();
  });
});
