import { describeConnections } from '../../service-kit/test/connection-contract.ts';
import { buildForTest } from '../../service-kit/test/http-contract.ts';
import { buildApp } from '../src/app.ts';

describeConnections(() => buildForTest(buildApp), ['/customers']);
