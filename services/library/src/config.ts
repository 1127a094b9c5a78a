import { BrokerUrl, DatabaseUrl, GraphUrl, processVariables, ServiceUrls } from '@mnemosyne/platform'
import { z } from 'zod'

/** The variables of library as a process of its own. In one process with the others it has none. */
export const libraryProcessConfig = z.object({
  ...processVariables(23_183),
  DATABASE_URL: DatabaseUrl,
  AMQP_URL: BrokerUrl,
  NEO4J_URL: GraphUrl,
  AUTH_URL: ServiceUrls('auth'),
  SEARCH_URL: ServiceUrls('search'),
})
