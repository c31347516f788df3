import { HttpResponse, http } from 'msw';
import { expect, it, vi } from 'vitest';
import { newLocation } from './ledgers.ts';
import { ALICE, BOB, CRM_URL, crmLists, mockNetwork, setUpService } from './support.ts';

const network = mockNetwork();
// Long enough for a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const tooMany = (status: number, retryAfter?: string) =>
  new HttpResponse(null, {
    status,
    headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter },
  });

it.each([429, 503])(
  'a CRM that asks with a %d to be left alone for an hour is not asked before, nor after a restart',
  async (status) => {
    const location = await newLocation('sqlite');
    let calls = 0;
    network.use(
      http.get(CRM_URL, () => {
        calls += 1;
        return calls === 1 ? tooMany(status, '3600') : undefined;
      }),
      crmLists([ALICE]),
    );
    const first = await setUpService({ ledger: location });
    void first.poller.run();
    await first.untilLogged('--- Polling cycle finished. Waiting for 36');
    const until = new Date(first.pauses.CRM.until() as number).toISOString().slice(0, -5);
    const { reason } = first.poller.checkReadiness() as { reason: string };
    expect(reason).toContain(`It asks for fewer calls, and is not called until ${until}`);
    expect(first.messages('warn')[0]).toContain(`it is not called until ${until}`);
    await first.stop();

    const second = await setUpService({ ledger: location });
    void second.poller.run();
    await second.untilLogged('asks for fewer calls (as the ledger says)');
    await second.stop();
    expect(calls).toBe(1);

    const third = await setUpService({ ledger: location });
    third.advance(3_600_000);
    void third.poller.run();
    await third.untilLogged('Successfully fetched customers.');
    expect(calls).toBe(2);
  },
);

it('a CRM that wants a short pause in the middle of its list is asked for the same page after it', async () => {
  const pages: string[] = [];
  const waits: number[] = [];
  let isBusy = true;
  const service = await setUpService();
  network.use(
    http.get(CRM_URL, ({ request }) => {
      const page = new URL(request.url).searchParams.get('page') ?? '1';
      pages.push(page);
      waits.push(service.pauses.CRM.waitMs());
      if (page === '1') {
        return HttpResponse.json([ALICE], { headers: { link: '<?page=2>; rel="next"' } });
      }
      if (!isBusy) return HttpResponse.json([BOB]);
      isBusy = false;
      return tooMany(429, '1');
    }),
  );
  await service.poller.runCycle();
  expect(pages).toEqual(['1', '2', '2']);
  expect(service.messages('warn')[0]).toContain('asks for fewer calls (429 Too Many Requests)');
  expect(waits).toEqual([0, 0, 0]);
  expect(await service.keysOf('pending')).toEqual([ALICE.id, BOB.id]);
});

it('a CRM whose 503 says nothing of a time is attempted as often as any other failure', async () => {
  let calls = 0;
  network.use(
    http.get(CRM_URL, () => {
      calls += 1;
      return tooMany(503, 'soon');
    }),
  );
  const { poller, pauses } = await setUpService();
  await poller.runCycle();
  expect(calls).toBe(3);
  expect(pauses.CRM.until()).toBeUndefined();
});
