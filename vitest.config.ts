import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/**
 * Long enough for a slow or busy machine. A test that hangs is reported late, a slow one does not fail.
 */
const patient = {
  testTimeout: 240_000,
  hookTimeout: 240_000,
  expect: { poll: { timeout: 200_000 } },
};

// For the processes that tests start.
process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), 'mini-integration-platform-compiled');

export default defineConfig({
  test: {
    // More workers than processors: half of the tests wait for processes.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    projects: [
      'integration-service',
      ...['crm-api', 'inventory-api', 'service-kit'].map((name) => {
        return { test: { name, root: name, isolate: false, ...patient } };
      }),
      {
        test: {
          name: 'end-to-end',
          include: ['integration-service/test/end-to-end/**/*.test.ts'],
          isolate: false,
          ...patient,
        },
      },
      {
        test: {
          name: 'deep',
          include: [
            'integration-service/test/deep/*.test.ts',
            'integration-service/test/{state-machine,webhook-mutations}.test.ts',
            'integration-service/src/{analytics/csv,http/json-array}.test.ts',
            'integration-service/test/end-to-end/analytics/kill.test.ts',
            'integration-service/test/end-to-end/{customer-sync,ledger-processes,outage,prove,trio}.test.ts',
          ],
          // Larger amounts than in the other projects: runs, customers, kills, and a minute of outage.
          env: {
            ...{ RUNS_FACTOR: '63', CUSTOMERS: '10000', PROBES: '5', PROCESSES: '20' },
            ...{
              SYNC_CUSTOMERS: '2000',
              SYNC_CHANGES: '10000',
              SYNC_DELETES: '200',
              SYNC_KILLS: '40',
            },
            ...{
              ANALYTICS_CUSTOMERS: '5000',
              ANALYTICS_KILLS: '40',
            },
          },
          ...patient,
          testTimeout: 900_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'compose',
          include: ['integration-service/test/compose/*.test.ts'],
          ...patient,
          testTimeout: 300_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
