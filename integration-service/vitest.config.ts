import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { name: 'integration-service', include: ['src/**/*.test.ts', 'test/*.test.ts'] },
});
