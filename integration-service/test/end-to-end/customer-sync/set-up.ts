import { parseEnvironment } from 'service-kit/environment';
import { strictSerializerCompiler } from 'service-kit/serialization';
import { onTestFinished } from 'vitest';
import { type AppOptions, buildApp } from '../../../src/app.ts';
import type { Customer } from '../../../src/customer-sync/customer.ts';
import {
  type CustomerSyncSettings,
  customerSyncEnvironment,
} from '../../../src/customer-sync/environment.ts';
import { createFlow } from '../../../src/customer-sync/flow.ts';
import { readinessOf } from '../../../src/open-flow.ts';
import { type ServiceTestOptions, setUpService } from '../../support.ts';
import { type Crm, startCrm } from './crm.ts';

export const PATH = '/api/customers';
export const JANE = {
  ...{ name: 'Jane Doe', email: 'jane.doe@example.com', phone: '+44 20 7946 0000' },
  address: {
    ...{ street: '221B Baker Street', city: 'London', state: null },
    ...{ postal_code: 'NW1 6XE', country: 'United Kingdom' },
  },
};

/** A customer with another name and e-mail for each number. */
export const customerOf = (number: number) => {
  return { name: `Customer ${number}`, email: `customer.${number}@example.com` };
};

export interface ShopTestOptions extends ServiceTestOptions {
  /** Default: one of its own. */
  crm?: Crm;
  settings?: Partial<CustomerSyncSettings>;
  app?: Partial<AppOptions>;
}

/** The flow customer-sync with all its real parts, its routes, and crm-api. */
export async function setUpShop(options: ShopTestOptions = {}) {
  const crm = options.crm ?? (await startCrm());
  const settings = {
    ...parseEnvironment(customerSyncEnvironment, {}),
    ...{ CUSTOMER_SYNC_URL: crm.url, SYNC_COMPARE_SECONDS: 3_600 },
    ...options.settings,
  };
  const service = await setUpService({
    ...options,
    createFlow: (parts) => createFlow(settings, parts),
  });
  const { ledger, open, now, log, dispatcher, poller } = service;
  const app = await buildApp({
    ...{ log, serializerCompiler: strictSerializerCompiler, host: '127.0.0.1' },
    ...{ ledger, flows: [open], now, checkReadiness: () => readinessOf(ledger, [open]) },
    ...options.app,
  });
  onTestFinished(() => app.close());

  const send = (
    method: 'GET' | 'PUT' | 'DELETE' | 'POST',
    url: string,
    payload?: object | string,
    headers = {},
  ) =>
    app.inject({
      ...{ method, url, headers },
      ...(payload !== undefined && {
        payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
        headers: { 'content-type': 'application/json', ...headers },
      }),
    });
  const get = (url = PATH) => send('GET', url);
  const post = (payload: object | string = JANE) => send('POST', PATH, payload);
  const put = (id: string, payload: object | string, headers = {}) =>
    send('PUT', `${PATH}/${id}`, payload, headers);
  const remove = (id: string, headers = {}) => send('DELETE', `${PATH}/${id}`, undefined, headers);
  const create = async (payload: object = JANE): Promise<Customer> => (await post(payload)).json();
  let isSending = false;
  const keysByStatus = async () =>
    (await ledger.list({ flow: 'customer-sync' }, 1_000)).map(({ key, status }) => {
      return `${key.split(':').at(-1)} ${status}`;
    });

  return {
    ...{ ...service, crm, app, get, post, put, remove, create },
    /** The versions that were ever to be delivered, as `1 delivered`, in the order of the changes. */
    versions: keysByStatus,
    /** Starts sending, unless it has, and resolves when nothing is left to be sent. */
    async deliver(): Promise<void> {
      if (!isSending) void dispatcher.run();
      isSending = true;
      await service.untilDone();
    },
    /** Compares the CRM with the shop once, now. */
    compare: () => poller.runCycle(),
    /** What was logged about the comparison or a delivery as a warning. */
    warnings: () => service.messages('warn'),
  };
}
