import { describeHttpContract } from '../../service-kit/test/http-contract.ts';
import { buildApp } from '../src/app.ts';

describeHttpContract({
  build: buildApp,
  title: 'Mock Inventory API',
  collection: '/package-requests',
  valid: '{"customer_id":"123e4567-e89b-42d3-a456-426614174000"}',
  required: ['customer_id'],
  otherPaths: ['/products', '/products/{id}'],
});
