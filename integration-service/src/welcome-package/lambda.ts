/** The AWS Lambda function for an SQS queue. `npm run build:lambda` bundles it into one file. */
import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { pino } from 'pino';
import { parseEnvironment } from 'service-kit/environment';
import { lambdaEnvironment } from './environment.ts';
import { createSqsHandler, type SqsHandler } from './sqs-handler.ts';

let handle: SqsHandler | undefined;

/**
 * Requests the welcome packages of a batch of messages, and names the messages that failed.
 *
 * @throws {EnvironmentError} with every problem of the environment, at each invocation until all are solved
 */
export async function handler(event: SQSEvent, context?: Context): Promise<SQSBatchResponse> {
  handle ??= setUp();
  return handle(event, context);
}

function setUp(): SqsHandler {
  const config = parseEnvironment(lambdaEnvironment, process.env);
  const options = {
    name: 'integration-service',
    level: config.LOG_LEVEL,
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  // Each line is written synchronously, because a function is frozen as soon as it has answered. Lambda logs
  // standard error like standard output, which is left to what `npm run lambda` prints.
  return createSqsHandler(config, pino(options, pino.destination({ dest: 2, sync: true })));
}
