import { once } from 'node:events';
import { parseEnvironment } from 'service-kit/environment';
import { expect, it } from 'vitest';
import { audit } from '../src/delivery/audit/audit.ts';
import { CLOCKS } from '../src/delivery/clocks.ts';
import type { Poller } from '../src/delivery/ingest/poller.ts';
import { copyListEnvironment } from './copy-list/environment.ts';
import { createFlow } from './copy-list/flow.ts';
import { setUpService, startHttpServer } from './support.ts';

it('leaves a source alone that asks for fewer calls', async () => {
  let calls = 0;
  const throttling = await startHttpServer((_request, response) => {
    calls += 1;
    return response.writeHead(429, { 'retry-after': '60' }).end();
  });
  const settings = parseEnvironment(copyListEnvironment, {
    COPY_FROM_URL: throttling,
    COPY_TO_URL: await startList([], false),
    POLLING_INTERVAL_SECONDS: '0.005',
  });
  const service = await setUpService({ createFlow: (parts) => createFlow(settings, parts) });
  const poller = service.open.pollers[0] as Poller;
  void poller.run();
  await service.untilLogged('--- Polling cycle finished. Waiting for 6');
  expect(calls).toBe(1);
  await poller.stop();
});

interface Record {
  id: string;
}

/** A list that is read by GET and written to by POST. It stores, and says nothing of the first request. */
async function startList(records: Record[], isForgetful: boolean): Promise<string> {
  let isFirst = isForgetful;
  return await startHttpServer(async (request, response) => {
    if (request.method === 'GET') return response.end(JSON.stringify(records));
    const record = JSON.parse(String(await once(request, 'data')));
    records.push(record);
    if (isFirst) {
      isFirst = false;
      return response.destroy();
    }
    return response.writeHead(201).end(JSON.stringify(record));
  });
}

it('is a flow in a folder of its own, which adopts, copies once, and is audited', async () => {
  const from = [{ id: 'a', note: 'was there' }, { id: 'b' }, { id: 'c' }, { no: 'id' } as never];
  const to: Record[] = [{ id: 'a' }];
  const settings = parseEnvironment(copyListEnvironment, {
    COPY_FROM_URL: await startList(from, false),
    COPY_TO_URL: await startList(to, true),
    POLLING_INTERVAL_SECONDS: '3600',
  });
  const service = await setUpService({ createFlow: (parts) => createFlow(settings, parts) });
  void service.open.run();
  const statuses = async () => (await service.ledger.list({}, 9)).map(({ status }) => status);
  await service.until(async () => (await statuses()).filter(Boolean).length === 3);
  await service.until(async () => (await statuses()).every((status) => status === 'delivered'));
  expect(to.map(({ id }) => id).sort()).toEqual(['a', 'b', 'c']);
  const report = await audit({
    ...{ flow: service.flow, ledger: service.ledger, repair: false, ...CLOCKS },
    onUnusable() {},
  });
  expect(report.hasDrift).toBe(false);
  report.close();
  expect(service.open.checkReadiness()).toMatchObject({ ready: true });
});
