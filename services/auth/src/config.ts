import { BrokerUrl, DatabaseUrl, processVariables, ServiceUrls } from '@mnemosyne/platform'
import { z } from 'zod'

/** The variables of auth as a process of its own. In one process with the others it has none. */
export const authProcessConfig = z.object({
  ...processVariables(23_182),
  DATABASE_URL: DatabaseUrl,
  AMQP_URL: BrokerUrl,
  LIBRARY_URL: ServiceUrls('library'),
})
