import { describeHttpContract } from '../../service-kit/test/http-contract.ts';
import { buildApp } from '../src/app.ts';

describeHttpContract({
  build: buildApp,
  title: 'Mock CRM API',
  collection: '/customers',
  otherPaths: ['/api/crm/customers', '/api/crm/customers/{id}'],
  valid: '{"name":"Jane Doe","email":"jane.doe@example.com"}',
  required: ['name', 'email'],
});
