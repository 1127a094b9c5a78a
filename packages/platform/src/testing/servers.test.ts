import { connect } from 'amqplib'
import pg from 'pg'
import { expect, it } from 'vitest'
import { describePostgres, describeRabbitMq } from './servers.ts'

await describePostgres('PostgreSQL for tests', (freshUrl) => {
  it('gives each test an empty database of its own', async () => {
    const [one, two] = await Promise.all([freshUrl(), freshUrl()])
    expect(one).not.toBe(two)
    const client = new pg.Client(one)
    await client.connect()
    const { rows } = await client.query("select count(*) as n from pg_tables where schemaname = 'public'")
    expect(rows).toEqual([{ n: '0' }])
    await client.end()
  })
})

await describeRabbitMq('RabbitMQ for tests', (freshUrl) => {
  it('gives each test a virtual host of its own', async () => {
    for (const url of await Promise.all([freshUrl(), freshUrl()])) {
      const connection = await connect(url)
      const channel = await connection.createConfirmChannel()
      // Would clash with the other's if they shared.
      await channel.assertQueue('same', { exclusive: true })
      await connection.close()
    }
  })
})
