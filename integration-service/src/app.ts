import {
  createHttpService,
  type HttpService,
  type HttpServiceOptions,
} from 'service-kit/http-service';

/** The HTTP door of the integration service: health, metrics, documentation. Does not listen. */
export function buildApp(
  options: Pick<HttpServiceOptions, 'log' | 'metrics' | 'checkReadiness' | 'serializerCompiler'>,
): Promise<HttpService> {
  return createHttpService({
    ...options,
    title: 'Integration Service',
    description: 'Requests a welcome package from the inventory for every new customer of the CRM.',
  });
}
