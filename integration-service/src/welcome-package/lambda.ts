/** The AWS Lambda function of an SQS queue. `npm run build:lambda` makes one file of it. */
import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { pino } from 'pino';
import { parseLambdaConfig } from './lambda-config.ts';
import { createSqsHandler, type SqsHandler } from './sqs-handler.ts';

let handle: SqsHandler | undefined;

/**
 * Requests the welcome packages of a batch of messages, and names those that failed.
 *
 * @throws {EnvironmentError} with every problem of the environment, at each invocation until it is mended
 */
export async function handler(event: SQSEvent, context?: Context): Promise<SQSBatchResponse> {
  handle ??= setUp();
  return handle(event, context);
}

function setUp(): SqsHandler {
  const config = parseLambdaConfig(process.env);
  const options = {
    name: 'integration-service',
    level: config.logLevel,
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  // Each line is written at once: a function is frozen as soon as it has answered. To standard error,
  // which Lambda logs alike, and which leaves standard output to what `npm run lambda` prints.
  return createSqsHandler(config, pino(options, pino.destination({ dest: 2, sync: true })));
}
