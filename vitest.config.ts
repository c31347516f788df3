import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // More than there are processors: half of the tests wait for processes.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    projects: [
      'integration-service',
      ...['crm-api', 'inventory-api', 'service-kit'].map((name) => {
        return { test: { name, root: name, testTimeout: 60_000 } };
      }),
      {
        test: {
          name: 'end-to-end',
          include: ['integration-service/test/end-to-end/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'deep',
          include: [
            'integration-service/test/deep/*.test.ts',
            'integration-service/test/state-machine.test.ts',
          ],
          env: { FC_RUNS: '250' },
          testTimeout: 900_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'compose',
          include: ['integration-service/test/compose/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
