"""The mutations of `make mutants`: one wrong change of the code each, and the tests that must see it."""

from typing import Final, NamedTuple


class Mutation(NamedTuple):
    """In `file`, `text`, which is there once, becomes `replacement`; `tests` are pytest's arguments."""

    file: str
    text: str
    replacement: str
    tests: str


PARTIES: Final = "myaccount/ledger/parties.py"
ORDER_RULES: Final = "myaccount/ledger/order_rules.py"
FINGERPRINTS: Final = "myaccount/ledger/fingerprints.py"
HOLD_RULES: Final = "myaccount/ledger/hold_rules.py"
RECORDING: Final = "myaccount/ledger/recording.py"
ACCOUNT_RULES: Final = "myaccount/ledger/account_rules.py"
BULK_RULES: Final = "myaccount/ledger/bulk_rules.py"
STATE: Final = "myaccount/ledger/state.py"
MONEY: Final = "myaccount/ledger/money.py"
BATCHES: Final = "myaccount/journal/batches.py"
MYSQL_BATCH: Final = "myaccount/journal/mysql_batch.py"
SQLITE_BATCH: Final = "myaccount/journal/sqlite_batch.py"
POSTING: Final = "myaccount/journal/posting.py"
BOOKS: Final = "myaccount/journal/books.py"
HOLD_ENDS: Final = "myaccount/journal/hold_ends.py"
JOURNAL: Final = "myaccount/journal/writer.py"
SETTLING: Final = "myaccount/journal/settling.py"
BLOCKED: Final = "myaccount/journal/blocked.py"
LOCK_WAIT: Final = "myaccount/journal/lock_wait.py"
DATABASE: Final = "myaccount/database/database.py"
RETRIES: Final = "myaccount/database/retries.py"
FRESHNESS: Final = "myaccount/database/freshness.py"
PIPELINE: Final = "myaccount/database/pipeline.py"
STATEMENTS: Final = "myaccount/database/statements.py"
LEASES: Final = "myaccount/database/leases.py"
EVENTS: Final = "myaccount/outbox/events.py"
HOLD_SWEEPER: Final = "myaccount/listener/hold_sweeper.py"
DELIVERIES: Final = "myaccount/webhooks/deliveries.py"
LISTENER: Final = "myaccount/listener/relay.py"
REDIS_QUEUE: Final = "myaccount/listener/redis_queue.py"
SERVERS: Final = "myaccount/settings/servers.py"
FILE_CONNECTION: Final = "myaccount/database/file_connection.py"
SERVER_CONNECTION: Final = "myaccount/database/server_connection.py"
REDIS_CLIENT: Final = "myaccount/database/redis_client.py"
CALLBACKS: Final = "myaccount/webhooks/endpoint.py"
FAN_OUT: Final = "myaccount/outbox/fan_out.py"
PAYLOADS: Final = "myaccount/webhooks/payloads.py"
CHANGE_FIELDS: Final = "myaccount/ledger/change_fields.py"
EARLIER_EVENTS: Final = "myaccount/outbox/earlier_events.py"
RECIPIENTS: Final = "myaccount/inbox/recipients.py"
MESSAGES: Final = "myaccount/inbox/writing.py"
CATCH_UP: Final = "myaccount/inbox/catch_up.py"
INBOX_LOCKS: Final = "myaccount/inbox/locks.py"
MARKS: Final = "myaccount/inbox/marks.py"
MISSING_MESSAGES: Final = "myaccount/inbox/missing_messages.py"
ROW_MESSAGES: Final = "myaccount/inbox/row_messages.py"
INBOX: Final = "myaccount/inbox/page_statements.py"
KNOWN_PAGES: Final = "myaccount/inbox/known_pages.py"
MARKING: Final = "myaccount/inbox/reading.py"
TEAMS: Final = "myaccount/inbox/team_commands.py"
COALESCING: Final = "myaccount/database/coalescing.py"
MIDDLEWARES: Final = "myaccount/middlewares.py"
FAST_HEADS: Final = "myaccount/fast_heads.py"
FAST_PATH: Final = "myaccount/fast_path.py"
FAST_REQUEST: Final = "myaccount/fast_request.py"
FAST_CONNECTION: Final = "myaccount/fast_connection.py"
KINDS: Final = "myaccount/controller/field_kinds.py"
BODY: Final = "myaccount/controller/body.py"
OPERATION: Final = "myaccount/controller/operation.py"
SUBMITTING: Final = "myaccount/controller/submitting.py"
BULK: Final = "myaccount/controller/bulk.py"
BULK_ORDERS: Final = "myaccount/controller/bulk_orders.py"
OPENING_RULES: Final = "myaccount/ledger/opening_rules.py"
OPENING_BATCH: Final = "myaccount/journal/opening_batch.py"
MYSQL_OPENINGS: Final = "myaccount/journal/mysql_openings.py"
SQLITE_OPENINGS: Final = "myaccount/journal/sqlite_openings.py"
BALANCES: Final = "myaccount/accounts/balances.py"
CHANGE_LOG: Final = "myaccount/accounts/change_log.py"
ORDER_ROWS: Final = "myaccount/journal/order_query.py"
GUARD: Final = "myaccount/access/guard.py"
LOG_HANDLERS: Final = "myaccount/observability/log_handlers.py"
HOST_NAMES: Final = "myaccount/system/host_names.py"
PROXIES: Final = "myaccount/access/proxies.py"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    # The money rules.
    Mutation(PARTIES, "payer.balance - payer.held - amount < payer.floor", "payer.balance - payer.held - amount <= payer.floor", "tests/unit/test_decide.py"),
    Mutation(PARTIES, "payer.balance - payer.held - amount", "payer.balance - amount", "tests/unit/test_hold_rules.py"),
    Mutation(PARTIES, "payee.balance + amount > MAX_BALANCE", "payee.balance > MAX_BALANCE", "tests/unit/test_decide.py"),
    Mutation(PARTIES, 'payer.frozen in ("debits", "all")', 'payer.frozen == "debits"', "tests/unit/test_account_rules.py"),
    Mutation(PARTIES, ' or (payee.frozen == "credits" and not owed)', ' or payee.frozen == "credits"', "tests/unit/test_refund_rules.py"),
    Mutation(PARTIES, "    if payer.id == payee.id:\n", "    if False:\n", "tests/unit/test_decide.py"),
    Mutation(PARTIES, "    if currency is not None and account.currency != currency:\n", "    if False:\n", "tests/unit/test_decide.py"),
    Mutation(ORDER_RULES, "            check_pair(payer, payee)\n", "", "tests/unit/test_decide.py"),
    Mutation(ORDER_RULES, "    left = original.amount - original.refunded\n", "    left = original.amount\n", "tests/unit/test_refund_rules.py"),
    Mutation(ORDER_RULES, "        state.orders[original.order_id] = original._replace(refunded=original.refunded + amount)\n", "", "tests/unit/test_refund_rules.py"),
    Mutation(ORDER_RULES, "(Recharge, Transfer, Withdraw, Capture)", "(Recharge, Transfer, Withdraw, Refund, Capture)", "tests/unit/test_refund_rules.py"),
    Mutation(ORDER_RULES, "            _check_same(command, earlier, state)\n", "", "tests/unit/test_fingerprints.py"),
    Mutation(ORDER_RULES, "(payer.id, payee.id, amount) == (earlier.from_account, earlier.to_account, earlier.amount)", "(payer.id, payee.id) == (earlier.from_account, earlier.to_account)", "tests/unit/test_fingerprints.py"),
    Mutation(FINGERPRINTS, 'return {"account": account_id}', "return account_id", "tests/unit/test_fingerprints.py"),
    Mutation(FINGERPRINTS, "(value := getattr(order, name)) is not None", "(value := getattr(order, name))", "tests/unit/test_fingerprints.py"),
    Mutation(HOLD_RULES, "    if reason is None and amount > held.remaining:\n", "    if reason is None and amount > order.amount:\n", "tests/unit/test_hold_rules.py"),
    Mutation(HOLD_RULES, "command.final or not held.remaining", "command.final", "tests/unit/test_hold_rules.py"),
    Mutation(HOLD_RULES, "    _reserve(payer, -amount, state)\n", "", "tests/unit/test_hold_rules.py"),
    Mutation(HOLD_RULES, "known.expires_at <= state.now", "known.expires_at < state.now", "tests/unit/test_hold_ends.py"),
    Mutation(HOLD_RULES, " and state.knows_account(known.payer):", ":", "tests/unit/test_hold_ends.py"),
    Mutation(HOLD_RULES, "            record_end(held, HOLD_EXPIRED, freed, state)\n", "", "tests/unit/test_hold_ends.py"),
    Mutation(HOLD_RULES, "    if held.status == HELD:\n        return None\n", "    if held.status != EXPIRED:\n        return None\n", "tests/unit/test_hold_ends.py"),
    Mutation(RECORDING, "    if ended_by is not None:\n", "    if True:\n", "tests/unit/test_hold_ends.py"),
    Mutation(ACCOUNT_RULES, "account.balance or account.held:", "account.balance:", "tests/unit/test_account_rules.py"),
    Mutation(ACCOUNT_RULES, "account.balance - account.held < floor", "account.balance < floor", "tests/unit/test_account_rules.py"),
    Mutation(BULK_RULES, "    decided = state.fork()\n", "    decided = state\n", "tests/unit/test_bulk_rules.py"),
    Mutation(BULK_RULES, "reason=reason, refunded=0)", "reason=reason)", "tests/unit/test_bulk_rules.py"),
    Mutation(BULK_RULES, "        if order.order_id in state.orders:\n", "        if False:\n", "tests/unit/test_bulk_replays.py"),
    Mutation(BULK_RULES, "target if target.order_type in kinds else None", "target", "tests/unit/test_bulk_rules.py"),
    Mutation(STATE, "            _accounts={},\n", "", "tests/unit/test_bulk_rules.py"),
    Mutation(STATE, "_copy_hold(self._known_holds[order_id])", "self._known_holds[order_id]", "tests/unit/test_hold_ends.py"),
    Mutation(STATE, "        payer.last_entry += 1\n", "", "tests/unit/test_rules_against_model.py"),
    Mutation(STATE, "        account.last_decline += 1\n", "", "tests/unit/test_rules_against_model.py"),
    Mutation(STATE, "                account.held or None,\n", "", "tests/unit/test_rules_against_model.py"),
    Mutation(STATE, "        account.last_decline,\n    )\n", "    )\n", "tests/unit/test_rules_against_model.py"),
    Mutation(RECORDING, "payer if payer.user_id else payee", "payer", "tests/unit/test_rules_against_model.py"),
    Mutation(MONEY, "            if units <= largest_amount(currency):\n", "            if True:\n", "tests/unit/test_money.py"),
    Mutation(MONEY, "MAX_CNY_AMOUNT if currency == CNY else MAX_AMOUNT", "MAX_AMOUNT", "tests/unit/test_money.py"),
    Mutation(MONEY, "_AMOUNT.fullmatch(text)", "_AMOUNT.match(text)", "tests/unit/test_money.py"),
    Mutation("myaccount/ledger/currencies.py", "ISK JPY", "ISK", "tests/unit/test_currencies.py"),
    # The batch's statements.
    Mutation(BATCHES, "accounts = sorted(state.changed_accounts.values(), key=lambda account: account.id)", "accounts = list(state.changed_accounts.values())", "tests/database/test_batches.py"),
    Mutation(MYSQL_BATCH, " FORCE INDEX (PRIMARY)", "", "tests/database/test_batches.py"),
    Mutation(MYSQL_BATCH, '            f" {tail}",\n', '            "",\n', "tests/database/test_batches.py tests/service/test_journal.py"),
    Mutation(MYSQL_OPENINGS, '"FOR UPDATE SKIP LOCKED" if', '"FOR UPDATE" if', "tests/faults/test_locked_rows.py"),
    Mutation(MYSQL_OPENINGS, "or not self._info[SKIPS_LOCKED]", "", "tests/faults/test_locked_rows.py"),
    Mutation(MYSQL_BATCH, "MIN(id) AS first", "MAX(id) AS first", "tests/database/test_batches.py"),
    Mutation(MYSQL_BATCH, "GROUP BY user_id, currency)", "GROUP BY user_id)", "tests/database/test_batches.py"),
    Mutation(SQLITE_BATCH, "SELECT min(id)", "SELECT max(id)", "tests/database/test_batches.py"),
    Mutation(BATCHES, "        if holds:\n", "        if False:\n", "tests/database/test_batches.py"),
    Mutation(BATCHES, "        if state.new_declines:\n", "        if False:\n", "tests/database/test_batches.py"),
    Mutation(BATCHES, "        if state.new_declines:\n", "        if True:\n", "tests/database/test_batches.py"),
    Mutation(MYSQL_BATCH, ',"\n            f" last_decline = {account.last_decline}', '"\n            f"', "tests/database/test_batches.py"),
    Mutation(SQLITE_BATCH, '                account.last_decline,\n', '                0,\n', "tests/database/test_batches.py"),
    Mutation("myaccount/journal/posting.py", " or self.state.new_declines:", ":", "tests/service/test_catch_up.py"),
    Mutation(MYSQL_BATCH, "        due = end if hold.status == HELD else \"NULL\"\n", "        due = end\n", "tests/database/test_batches.py"),
    Mutation(BATCHES, "holds = state.new_holds | state.changed_holds", "holds = dict(state.new_holds)", "tests/database/test_batches.py"),
    Mutation(SQLITE_BATCH, " WHERE account.id = new.value ->> 0", "", "tests/database/test_batches.py"),
    Mutation(BATCHES, "answers = await self._run(*locks, *finds)", "found = await self._run(*finds); answers = [*await self._run(*locks), *found]", "tests/database/test_batches.py"),
    Mutation(BATCHES, "account is not None and (account.id, account.account_id, account.user_id, account.currency) == self", "account is not None", "tests/faults/test_stale_keys.py"),
    # The journal.
    Mutation(POSTING, "                blocked.update(reference for reference in touched if isinstance(reference, OrdersOf))\n", "                pass\n", "tests/faults/test_locked_rows.py"),
    Mutation(BATCHES, "if account.id in reset]", "if False]", "tests/database/test_batches.py"),
    Mutation(BATCHES, "if payer >= last]", "if payer > last]", "tests/database/test_batches.py"),
    Mutation(MYSQL_BATCH, " ORDER BY payer LIMIT {limit}", " ORDER BY payer DESC LIMIT {limit}", "tests/database/test_batches.py"),
    Mutation(MYSQL_OPENINGS, ' if self._info[SKIPS_LOCKED] else "FOR UPDATE"', "", "tests/database/test_batches.py"),
    Mutation(MYSQL_OPENINGS, "StillLocked if rows_are_locked else TableLocked", "StillLocked", "tests/faults/test_locked_openings.py"),
    Mutation(SQLITE_OPENINGS, "if not self._driver.in_transaction:", "if True:", "tests/service/test_openings.py"),
    Mutation(OPENING_BATCH, "self._parts(sorted(added_to))", "self._parts(added_to)", "tests/database/test_opening_batches.py"),
    Mutation(OPENING_BATCH, "self._parts(sorted(users), OPENED_BYTES)", "self._parts(users, OPENED_BYTES)", "tests/database/test_opening_batches.py"),
    Mutation(OPENING_BATCH, "                *map(UserRow, (added_to & by_user.keys()).difference(locked_users)),\n", "", "tests/faults/test_locked_openings.py"),
    Mutation(HOLD_SWEEPER, "self._journal.accepted != self._accepted", "self._journal.waiting", "tests/service/test_hold_sweeper.py"),
    Mutation(FILE_CONNECTION, "except BaseException:", "except ZeroDivisionError:", "tests/database/test_file_connection.py"),
    Mutation(FILE_CONNECTION, "thread.daemon = True", "pass", "tests/database/test_file_connection.py"),
    Mutation(FILE_CONNECTION, "            self.rollback()", "            pass", "tests/database/test_file_connection.py"),
    Mutation(SERVER_CONNECTION, "self._writer.transport.abort()", "pass", "tests/database/test_mysql_tls.py"),
    Mutation(HOLD_ENDS, "OR (due_at = %s AND id > %s)", "OR (due_at > %s AND id > %s)", "tests/service/test_many_hold_ends.py"),
    Mutation("myaccount/ledger/account_rules.py", "if command.change_id in state.made_changes:", "if False:", "tests/service/test_journal.py"),
    Mutation(BOOKS, "if not moved and not new:", "if not new:", "tests/faults/test_stale_keys.py"),
    Mutation("myaccount/journal/replays.py", "if rows.get(row.key) == row}", "if True}", "tests/faults/test_stale_keys.py"),
    Mutation(POSTING, "        if not others:\n", "        if False:\n", "tests/service/test_replays.py"),
    Mutation("myaccount/journal/locating.py", "if len(self._remembered) > REMEMBERED_LIMIT:", "if False:", "tests/service/test_journal.py"),
    Mutation(POSTING, "            free.append(touched.isdisjoint(blocked))\n", "            free.append(True)\n", "tests/faults/test_locked_rows.py"),
    Mutation(POSTING, "        return None if decision.refused else await decision.commit(batch, readers)\n", "        return await decision.commit(batch, readers)\n", "tests/service/test_orders.py"),
    Mutation(POSTING, "if kind_of(error) is not ErrorKind.DUPLICATE:", "if kind_of(error) is ErrorKind.DUPLICATE:", "tests/service/test_orders.py"),
    Mutation(POSTING, "            self._announce(event_id)\n", "            pass\n", "tests/service/test_journal.py"),
    Mutation(JOURNAL, "            self._broken()\n", "", "tests/faults/test_writer.py"),
    Mutation(JOURNAL, '            self._fail_all(Unavailable("The service failed. Send the same order again in a moment."))\n', "", "tests/faults/test_writer.py"),
    Mutation(SETTLING, "except (RowLocked, TooLarge) as error:", "except RowLocked as error:", "tests/service/test_journal.py"),
    Mutation(JOURNAL, "if self._closing:\n            raise", "if False:\n            raise", "tests/service/test_journal.py"),
    Mutation(JOURNAL, "self._waiting_orders >= self._waiting_limit or ", "", "tests/service/test_journal.py"),
    Mutation(JOURNAL, " or self.oldest_seconds > self._waiting_seconds", "", "tests/service/test_journal.py"),
    Mutation(JOURNAL, "                await self._wait_for(settled, GATHERING_SECONDS)\n", "                pass\n", "tests/service/test_journal.py"),
    Mutation(JOURNAL, "wait=self._blocked.waits_for_locks", "wait=True", "tests/faults/test_locked_rows.py"),
    Mutation(SETTLING, " and not order.fail_if_late(now)", "", "tests/faults/test_locked_rows.py"),
    Mutation(BLOCKED, "late = now - self.submitted_at > WAIT_SECONDS", "late = False", "tests/faults/test_locked_rows.py"),
    Mutation(BLOCKED, "self._tries % TRIES_PER_WAIT == 0", "False", "tests/faults/test_locked_rows.py"),
    Mutation(LOCK_WAIT, "* NEWEST_WEIGHT", "* 0", "tests/faults/test_locked_rows.py"),
    Mutation(BLOCKED, "if weight < BLOCKED_LIMIT:", "if True:", "tests/faults/test_locked_rows.py"),
    # Transactions and connections.
    Mutation(RETRIES, "range(1, ATTEMPTS + 1)", "range(1, 2)", "tests/database/test_database.py"),
    Mutation(RETRIES, "asyncio.timeout(TRANSACTION_TIMEOUT_SECONDS)", "asyncio.timeout(None)", "tests/database/test_mariadb.py"),
    Mutation(RETRIES, "            case ErrorKind.OURS:\n                raise error\n", "", "tests/database/test_database.py"),
    Mutation(DATABASE, "                    await greenlet_spawn(pooled.invalidate)\n", "", "tests/database/test_database.py"),
    Mutation(DATABASE, "_writer_lock = asyncio.Lock() if self.embedded else nullcontext()", "_writer_lock = nullcontext()", "tests/database/test_database.py"),
    Mutation(DATABASE, "_beside_batches = asyncio.Lock() if self.embedded else nullcontext()", "_beside_batches = nullcontext()", "tests/database/test_database.py"),
    Mutation(DATABASE, "self._beside_batches if beside_orders else nullcontext()", "self._beside_batches", "tests/database/test_database.py"),
    Mutation(FRESHNESS, "            self._check(connection)\n", "", "tests/faults/test_failover.py"),
    Mutation(FRESHNESS, ' - record.info["checked_at"] > CHECKED_SECONDS', ' - record.info["used_at"] > CHECKED_SECONDS', "tests/unit/test_freshness.py"),
    Mutation(PIPELINE, r'.replace("\\", "\\\\")', "", "tests/database/test_pipeline.py"),
    Mutation(PIPELINE, """.replace("'", "''")""", "", "tests/database/test_pipeline.py"),
    Mutation(PIPELINE, "if len(values) != count:", "if False:", "tests/database/test_pipeline.py"),
    Mutation(PIPELINE, "if packet and size + bytes_ > limit_bytes:", "if False:", "tests/database/test_pipeline.py"),
    # The way to the servers.
    Mutation(SERVER_CONNECTION, "not self.server_capabilities & CLIENT.SSL", "False", "tests/database/test_mysql_tls.py"),
    Mutation(SERVER_CONNECTION, "            self.close()\n            if isinstance(", "            if isinstance(", "tests/database/test_unread_answers.py"),
    Mutation(PIPELINE, "            await connection.invalidate()\n", "            pass\n", "tests/database/test_unread_answers.py"),
    Mutation(SERVERS, 'if not config.get("verify", True):', "if True:", "tests/unit/test_server_settings.py tests/database/test_mysql_tls.py"),
    Mutation(SERVERS, 'cafile=config.get("ca")', "cafile=None", "tests/unit/test_server_settings.py"),
    Mutation(REDIS_CLIENT, "        self.ssl_context.context = context\n", "", "tests/deploy/test_ways_to_servers.py"),
    Mutation(REDIS_CLIENT, '        username=config.get("user"),\n', "", "tests/service/test_redis_permissions.py"),
    # The outbox.
    Mutation(LEASES, ".where(table.c.id.in_(ids), table.c.due_at <= now)", ".where(table.c.id.in_(ids))", "tests/database/test_leases.py"),
    Mutation(LEASES, "query.with_for_update(skip_locked=True)", "query.with_for_update()", "tests/database/test_leases.py"),
    Mutation(LEASES, "due_at=now + timedelta(seconds=lease_seconds)", "due_at=now", "tests/database/test_leases.py"),
    Mutation(LEASES, "None if attempts + 1 >= last_attempt else", "", "tests/service/test_callbacks.py tests/service/test_listener.py"),
    Mutation(LEASES, "FIRST_PAUSE_SECONDS * 2**attempts", "FIRST_PAUSE_SECONDS", "tests/service/test_callbacks.py"),
    Mutation(EVENTS, 'return "DELETE FROM event WHERE id = %s", [event_id]', 'return "UPDATE event SET attempts = 0 WHERE id = %s", [event_id]', "tests/service/test_listener.py"),
    Mutation(FAN_OUT, "        left[id_] = changes[taken:]\n", "        left[id_] = ()\n", "tests/service/test_listener.py"),
    Mutation(LISTENER, "            await self._dispatch_all([message.event_id for message in messages])\n            await self._queue.acknowledge(messages)\n", "            await self._queue.acknowledge(messages)\n            await self._dispatch_all([message.event_id for message in messages])\n", "tests/faults/test_queue_faults.py"),
    Mutation(LISTENER, "        await self._dispatch_all([row.id for row in due])\n", "", "tests/faults/test_queue_faults.py"),
    Mutation(LISTENER, "                for event_id in event_ids:\n                    await self._dispatch([event_id])\n", "                await self._postpone(event_ids[0], error)\n", "tests/service/test_listener.py"),
    Mutation(REDIS_QUEUE, " for entry_id, fields in entries if fields]", " for entry_id, fields in entries]", "tests/database/test_leases.py tests/service/test_listener.py"),
    Mutation(REDIS_QUEUE, "                if messages := await self._claim():\n", "                if messages := []:\n", "tests/database/test_leases.py tests/service/test_listener.py"),
    Mutation(REDIS_QUEUE, "                await self._remove_dead_consumers()\n", "", "tests/database/test_leases.py tests/service/test_listener.py"),
    Mutation(REDIS_QUEUE, "maxlen=STREAM_LIMIT, approximate=True", "approximate=True", "tests/service/test_listener.py"),
    Mutation(CALLBACKS, "allow_redirects=False", "allow_redirects=True", "tests/service/test_callbacks.py"),
    Mutation(CALLBACKS, "now, 1 if gone else ATTEMPTS, same", "now, ATTEMPTS, same", "tests/service/test_callbacks.py"),
    # The inbox and the teams.
    Mutation(RECIPIENTS, "if change.change_type not in ACCOUNT_CHANGES:", "if True:", "tests/unit/test_recipients.py"),
    Mutation(RECIPIENTS, "format_amount(change.from_balance, currency)", "format_amount(change.to_balance, currency)", "tests/unit/test_recipients.py"),
    Mutation("myaccount/ledger/recording.py", "return account.watched or number", "return number", "tests/service/test_catch_up.py"),
    Mutation("myaccount/ledger/recording.py", " or number % CATCH_UP_AFTER == 0", "", "tests/service/test_catch_up.py"),
    Mutation(RECORDING, "_needs_an_event(account, account.last_decline)", "_needs_an_event(account, 0)", "tests/service/test_catch_up.py"),
    Mutation(RECORDING, "_needs_an_event(account, account.last_decline)", "account.watched", "tests/service/test_catch_up.py"),
    Mutation(MARKS, " OR last_decline > COALESCE(declines, 0)", "", "tests/service/test_catch_up.py"),
    Mutation(MARKS, ", declines = excluded.declines", "", "tests/service/test_catch_up.py"),
    Mutation(MARKS, ", declines = VALUES(declines)", "", "tests/service/test_catch_up.py"),
    Mutation(MARKS, "self.entry <= other.entry and self.decline <= other.decline", "self.entry <= other.entry", "tests/service/test_catch_up.py"),
    Mutation(CATCH_UP, "position.later(marks.get(account.key, account.mark))", "position", "tests/service/test_catch_up.py tests/service/test_catch_up_cost.py"),
    Mutation(CATCH_UP, "len(all_behind) < FOUND_LIMIT and covers(missing, behind)", "True", "tests/service/test_catch_up_cost.py"),
    Mutation(INBOX_LOCKS, '" SKIP LOCKED"', '""', "tests/service/test_catch_up_cost.py"),
    Mutation(INBOX_LOCKS, "if await _are_free(connection, [id_])", "if await _are_free(connection, reader_ids)", "tests/service/test_catch_up_cost.py"),
    Mutation(MESSAGES, "if m.team_id or key not in written:", "if True:", "tests/service/test_catch_up_once.py"),
    Mutation(MISSING_MESSAGES, "        if rows.has_more and not rows.waiting:\n", "        if False:\n", "tests/service/test_catch_up.py"),
    Mutation(MISSING_MESSAGES, "len(found) < max(1, limit // 2)", "not found", "tests/service/test_catch_up_cost.py"),
    Mutation(MISSING_MESSAGES, "self._block *= 2", "pass", "tests/service/test_catch_up_cost.py"),
    Mutation(MISSING_MESSAGES, 'merge(*waiting, key=attrgetter("position"))', 'merge(*waiting, key=attrgetter("message.created_at"))', "tests/service/test_catch_up.py"),
    Mutation(ROW_MESSAGES, "rows_at_once(connection, ROW_BYTES)", "2**24", "tests/database/test_pipeline.py"),
    Mutation(ROW_MESSAGES, "rest = rest._replace(after=first.last)", "rest = rest._replace(after=first.last + 1)", "tests/database/test_pipeline.py"),
    Mutation(FAN_OUT, "position.decline if change.change_type == DECLINE else position.entry", "position.entry", "tests/service/test_catch_up.py"),
    Mutation(FAN_OUT, " and change.change_type in CATCH_UP_CHANGES", " and False", "tests/service/test_catch_up_once.py"),
    Mutation("myaccount/journal/decline_verification.py", "numbered.orders <> numbered.declines", "1 = 0", "tests/service/test_verification.py"),
    Mutation("myaccount/journal/decline_verification.py", "fits = 0 OR ", "", "tests/service/test_verification.py"),
    Mutation("myaccount/journal/decline_verification.py", "payer.user_id IS NULL", "payer.user_id IS NOT NULL", "tests/service/test_verification.py"),
    Mutation("myaccount/journal/mark_verification.py", " OR declines > last_decline", "", "tests/service/test_verification.py"),
    Mutation("sql/migrations/versions/0006_declines.py", "not _has_table(connection)", "True", "tests/database/test_declines_migration.py"),
    Mutation("sql/migrations/versions/0006_declines.py", "not _has_column(connection, table, column)", "True", "tests/database/test_declines_migration.py"),
    Mutation(FAN_OUT, "                yield waiting[account_id].popleft().message\n", "                break\n", "tests/service/test_catch_up.py"),
    Mutation("myaccount/listener/redis_notifications.py", "if now - heard_at > LOST_SECONDS]", "if False]", "tests/faults/test_lost_notifications.py"),
    Mutation("myaccount/listener/redis_notifications.py", "self._heard_at.pop(name, None)", "pass", "tests/faults/test_lost_notifications.py"),
    Mutation("myaccount/listener/redis_notifications.py", "self._owes_all |= not self._is_followed_elsewhere()\n", "pass\n", "tests/service/test_stream_notifications.py"),
    Mutation(RECIPIENTS, "change.change_id or change.source_id", "change.source_id", "tests/unit/test_recipients.py"),
    Mutation(RECIPIENTS, "_encode({**fields, **own})\n", "_encode({**fields, **own, **held_amount(change)})\n", "tests/unit/test_recipients.py"),
    Mutation(PAYLOADS, "and change.order_name != REFUND", "", "tests/unit/test_payloads.py"),
    Mutation(STATEMENTS, "if len(values) == 1 or _fits(text, limit_bytes):", "if True:", "tests/unit/test_payloads.py"),
    Mutation(POSTING, "batch.limit_bytes - ROW_BYTES", "2**24", "tests/database/test_pipeline.py"),
    Mutation("myaccount/journal/round_trips.py", "return max(1, self.limit_bytes // row_bytes)", "return 2**24", "tests/database/test_pipeline.py"),
    Mutation(BATCHES, "limit = min(EXPIRED_LIMIT, self._rows_at_once(ROW_BYTES))", "limit = EXPIRED_LIMIT", "tests/database/test_pipeline.py"),
    Mutation(CHANGE_FIELDS, "if change.held or change.change_type in _OF_HOLDS:", "if change.held:", "tests/unit/test_payloads.py"),
    Mutation(EARLIER_EVENTS, "accounts.get(change.payee)", "None", "tests/service/test_teams.py"),
    Mutation(MESSAGES, "AND reader_id = :reader_id AND unread = 1", "AND unread = 1", "tests/service/test_inbox_marks.py"),
    Mutation(INBOX_LOCKS, '" FOR UPDATE"', '""', "tests/service/test_inbox_model.py"),
    Mutation(INBOX, "ORDER BY unread DESC, {_ID} DESC LIMIT", "ORDER BY {_ID} DESC LIMIT", "tests/service/test_inbox.py"),
    Mutation(INBOX, """f" AND id < {before.id}" if before is not None and before.unread == unread else \"\"""", '""', "tests/service/test_inbox_model.py"),
    Mutation(INBOX, '"id + 0"', '"id"', "tests/service/test_inbox_model.py"),
    Mutation(INBOX, "(unread = 0 OR {older})", "{older}", "tests/service/test_inbox_model.py"),
    Mutation(INBOX, "read <= SORTED_LIMIT * len(ends) or not ends", "True", "tests/service/test_inbox_model.py"),
    Mutation(PIPELINE, '[("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", ())]', "[]", "tests/service/test_inbox_marks.py"),
    Mutation("myaccount/inbox/readers.py", " and not was_member", "", "tests/service/test_teams.py"),
    Mutation(KNOWN_PAGES, " and known[0] == state", "", "tests/service/test_known_pages.py"),
    Mutation(KNOWN_PAGES, "JSON_ARRAY(id, created_at{server})", "JSON_ARRAY(id{server})", "tests/service/test_known_pages.py"),
    Mutation(KNOWN_PAGES, '", @@GLOBAL.server_id"', '""', "tests/service/test_known_pages.py"),
    Mutation(KNOWN_PAGES, "        if page.messages:\n", "        if True:\n", "tests/service/test_known_pages.py"),
    Mutation(KNOWN_PAGES, "        while self._bytes > KNOWN_BYTES:\n", "        while False:\n", "tests/service/test_known_pages.py"),
    Mutation(KNOWN_PAGES, "if reader_id in behind and not (team_id or wanted.is_caught_up):", "if False:", "tests/service/test_catch_up.py"),
    Mutation(MARKING, "                async with self._connections:\n                    began", "                if True:\n                    began", "tests/service/test_inbox_marks.py"),
    Mutation(MARKING, "            async with self._inbox_turns.turn(reader_id):\n                async", "            if True:\n                async", "tests/service/test_inbox_marks.py"),
    Mutation(MARKING, " * PAUSE_FACTOR)", " * 0)", "tests/service/test_inbox_marks.py"),
    Mutation(MARKING, "if count < MARK_LIMIT:", "if not count:", "tests/service/test_inbox_marks.py"),
    Mutation(MARKING, "Cursor(True, up_to + 1)", "Cursor(True, up_to)", "tests/service/test_inbox_marks.py"),
    Mutation(TEAMS, "> MEMBERS_LIMIT:", "> MEMBERS_LIMIT + 1:", "tests/service/test_teams.py"),
    Mutation(TEAMS, "        if await was_written(connection, note.team_id, NOTE, source_id):\n            return None\n", "", "tests/service/test_teams.py"),
    Mutation(COALESCING, "            if len(self._waiting) < len(batch) > 1:\n", "            if False:\n", "tests/database/test_coalescing.py"),
    Mutation(COALESCING, "self._waiting[:KEYS_LIMIT], self._waiting[KEYS_LIMIT:]", "self._waiting, []", "tests/database/test_coalescing.py"),
    Mutation(COALESCING, "if isinstance(error, Overloaded | Unavailable) and not isinstance(error, TooLarge):", "if True:", "tests/database/test_coalescing.py"),
    Mutation(COALESCING, " and not isinstance(error, TooLarge):", ":", "tests/database/test_coalescing.py"),
    # What every request meets, and what it may hold.
    Mutation("myaccount/replies.py", '        response.headers["Idempotent-Replayed"] = "true"\n', "        pass\n", "tests/service/test_orders.py"),
    Mutation(MIDDLEWARES, "_REQUEST_ID.fullmatch(given)", "given", "tests/service/test_log.py"),
    Mutation(KINDS, "if len(value) > limit:", "if len(value) >= limit:", "tests/service/test_bad_input.py"),
    Mutation(BODY, "    if len(fields) < len(pairs):\n", "    if False:\n", "tests/service/test_bad_input.py"),
    Mutation(BODY, "    if len(body) > limit_bytes:\n", "    if False:\n", "tests/service/test_bad_input.py"),
    Mutation(BODY, "if json_only and parse is not _parse_json:", "if False:", "tests/service/test_bulk.py"),
    Mutation(OPERATION, "if (first in fields) is (second in fields) and", "if first in fields and second in fields and", "tests/unit/test_operations.py"),
    Mutation(OPERATION, "        except ValueError:\n            # Which", "        except ZeroDivisionError:\n            # Which", "tests/unit/test_operations.py"),
    Mutation(KINDS, "UNESCAPED: Final = \"[!-$'-*,-~]\"", 'UNESCAPED: Final = "[!-~]"', "tests/unit/test_operations.py"),
    Mutation(KINDS, ', plain="")', ")", "tests/unit/test_operations.py"),
    Mutation(OPERATION, " and (required or first in fields):", " and required:", "tests/unit/test_operations.py"),
    Mutation(SUBMITTING, "values[role] = UserCurrency(user_id, currency)", "pass", "tests/unit/test_operations.py"),
    Mutation(SUBMITTING, "names[-1] if is_account else names[0]", "names[0]", "tests/service/test_further_accounts.py"),
    Mutation(BULK_ORDERS, "if command.order_id in seen:", "if False:", "tests/service/test_bulk.py"),
    Mutation(BULK_ORDERS, "bulk_id=bulk_id, maker=maker", "maker=maker", "tests/service/test_bulk.py"),
    Mutation(BULK_ORDERS, "1 <= len(value) <= ORDERS_LIMIT", "0 <= len(value) <= ORDERS_LIMIT", "tests/service/test_bulk.py"),
    Mutation(BULK_ORDERS, "    refuse_repeated(item)\n", "", "tests/service/test_bulk.py"),
    Mutation(BULK, "    request.app[journal_key].refuse_if_full()\n", "", "tests/service/test_bulk.py"),
    Mutation(BULK, "named.replayed and all(", "all(", "tests/service/test_bulk.py"),
    Mutation(BULK, "error.failed = place", "pass", "tests/service/test_bulk.py"),
    Mutation(BODY, "if _large_bodies.locked():", "if False:", "tests/service/test_bulk.py"),
    # Openings.
    Mutation(OPENING_RULES, "    if account.created_at == user.created_at or account", "    if account", "tests/unit/test_opening_rules.py"),
    Mutation(OPENING_RULES, "(_LEAST_TIME if command.sent_at == user.created_at else timedelta())", "timedelta()", "tests/unit/test_opening_rules.py"),
    Mutation(OPENING_RULES, " and account.account_id not in register.new_accounts", "", "tests/unit/test_opening_rules.py"),
    Mutation(OPENING_RULES, "return account.created_at == sent_at and", "return", "tests/unit/test_opening_rules.py"),
    Mutation(OPENING_RULES, "        register.awaited |= command.made\n", "        pass\n", "tests/unit/test_opening_rules.py"),
    Mutation(OPENING_RULES, "            self._currencies.add(account.currency)\n", "", "tests/unit/test_opening_rules.py"),
    Mutation(OPENING_RULES, "        if account is not None:\n            raise _is_taken(command)\n        new", "        new", "tests/unit/test_rules_against_model.py"),
    Mutation(POSTING, "[*self.opened, *self.state.changes]", "[*self.state.changes, *self.opened]", "tests/service/test_openings.py"),
    Mutation(BOOKS, "            self._locator.forget(opened.new)\n", "", "tests/service/test_openings.py"),
    Mutation(BOOKS, "blocked | opened.blocked, opened", "blocked, opened", "tests/faults/test_locked_openings.py"),
    Mutation(BALANCES, "due_at <= {now}", "1 = 0", "tests/service/test_holds.py"),
    Mutation(CHANGE_LOG, ', account_change.c.id < bindparam("before")', "", "tests/service/test_account_settings.py"),
    Mutation(ORDER_ROWS, "    if is_due:\n", "    if False:\n", "tests/service/test_holds.py"),
    Mutation("myaccount/ledger/order_commands.py", 'order_type: ClassVar[str] = "02"', 'order_type: ClassVar[str] = "01"', "tests/service/test_orders.py"),
    Mutation("myaccount/database/probe.py", "asyncio.timeout(PROBE_SECONDS)", "asyncio.timeout(None)", "tests/unit/test_probe.py"),
    Mutation("myaccount/database/probe.py", "now - self._started_at > CACHE_SECONDS", "True", "tests/unit/test_probe.py"),
    Mutation("myaccount/readiness.py", "self.database == self.schema == self.queue == OK", "self.database == self.schema == OK", "tests/service/test_health.py"),
    Mutation("myaccount/migrations/runner.py", "        if check := getattr(", "        if check := None and getattr(", "tests/database/test_versions.py tests/database/test_demo.py"),
    Mutation("sql/migrations/versions/0003_entries.py", "OFFSET {done - 1}", "OFFSET {done}", "tests/database/test_entries_migration.py"),
    Mutation("sql/migrations/versions/0003_entries.py", "        if name not in names:\n", "        if True:\n", "tests/database/test_entries_migration.py"),
    Mutation("myaccount/journal/account_verification.py", "made_by.status = 'posted' AND", "", "tests/service/test_verification.py"),
    Mutation("myaccount/journal/account_verification.py", "account WHERE id > :after ORDER", "account WHERE id >= :after ORDER", "tests/service/test_verification.py"),
    Mutation("myaccount/journal/account_verification.py", "if book.held != book.reserved:", "if book.held < book.reserved:", "tests/service/test_verification.py"),
    Mutation("myaccount/journal/order_verification.py", "HAVING SUM(debit) <> 1 OR SUM(credit) <> 1", "HAVING SUM(debit) < 1 OR SUM(credit) < 1", "tests/service/test_verification.py"),
    Mutation("myaccount/journal/hold_verification.py", "hold.due_at = hold.expires_at, 0", "hold.due_at IS NOT NULL, 0", "tests/service/test_verification.py"),
    Mutation("myaccount/observability/slots.py", "worker.slot = min(set(range(len(taken) + 1)) - taken)", "worker.slot = len(taken)", "tests/deploy/test_workers_metrics.py"),
    Mutation("myaccount/observability/metrics.py", 'METHODS: Final = frozenset(("GET", "HEAD", "POST"))', 'METHODS: Final = frozenset(("GET", "HEAD"))', "tests/service/test_metrics.py"),
    # Who may come in.
    Mutation(HOST_NAMES, ' or host.endswith(".localhost")', "", "tests/service/test_guard.py"),
    Mutation(LOG_HANDLERS, "            if not waits:\n", "            if False:\n", "tests/unit/test_log_handlers.py"),
    Mutation(LOG_HANDLERS, "created + 2 * BLOCK_SECONDS", "created + 1000", "tests/unit/test_log_handlers.py"),
    Mutation(LOG_HANDLERS, "        except Exception:\n            # The line", "        except ZeroDivisionError:\n            # The line", "tests/unit/test_log_handlers.py"),
    Mutation(LOG_HANDLERS, "size + bytes_ > BLOCK_BYTES", "False", "tests/unit/test_log_handlers.py"),
    Mutation(GUARD, " and request.rel_url.raw_path not in OPEN_PATHS", "", "tests/service/test_guard.py"),
    Mutation(GUARD, " not all(known(", " not any(known(", "tests/service/test_guard.py"),
    Mutation("myaccount/operations_port.py", "guard(config), ", "", "tests/service/test_metrics.py"),
    Mutation(GUARD, " or not was_forwarded(request)", " or True", "tests/service/test_guard.py"),
    Mutation(PROXIES, " or hdrs.X_FORWARDED_FOR not in request.headers", "", "tests/service/test_guard.py"),
    Mutation(PROXIES, " and not was_forwarded(request)", "", "tests/service/test_operators.py"),
    Mutation(PROXIES, " and is_loopback(str(peer))", "", "tests/service/test_operators.py"),
    Mutation(GUARD, "frozenset((hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS))", "frozenset((hdrs.METH_POST,))", "tests/service/test_guard.py"),
    Mutation(GUARD, "        if _is_of_other_site(request):\n            return True\n", "", "tests/service/test_guard.py"),
    Mutation(GUARD, "if host not in hosts:", "if False:", "tests/service/test_guard.py"),
    Mutation(GUARD, " and scheme != proxies.scheme(request)", " and False", "tests/service/test_guard.py"),
    Mutation(GUARD, "_SEC_FETCH_SITE not in request.headers and ", "", "tests/service/test_guard.py"),
    Mutation(GUARD, "        if not hosts or not all", "        if not all", "tests/service/test_guard.py"),
    Mutation(GUARD, "if _has_data(request) and _is_of_other_site(request):", "if False:", "tests/service/test_cross_site_reads.py"),
    Mutation(GUARD, "if _has_data(request) and ", "if ", "tests/service/test_cross_site_reads.py"),
    Mutation(GUARD, '        if forwarded.count(",") >= FORWARDED_HOSTS_LIMIT:\n            return []\n', "", "tests/unit/test_input_cost.py"),
    Mutation("myaccount/controller/orders.py", "seen if order.actor == user_id else seen._replace(reason=None)", "seen", "tests/service/test_user_tokens.py"),
    Mutation("myaccount/controller/orders.py", "order._replace(bulk_id=None, made_by=None)", "order", "tests/service/test_user_tokens.py"),
    Mutation("myaccount/replies.py", '    headers["Cross-Origin-Resource-Policy"] = "same-origin"\n', "", "tests/service/test_cross_site_reads.py"),
    Mutation(GUARD, 'target.startswith(("/", "*"))', "True", "tests/service/test_guard.py"),
    Mutation(GUARD, "    if hdrs.X_FORWARDED_HOST in headers:\n", "    if False:\n", "tests/service/test_guard.py"),
    Mutation(HOST_NAMES, "host.isascii() and ", "", "tests/unit/test_host_names.py"),
    Mutation(HOST_NAMES, "address in _LOOPBACK_IPV4 or ", "", "tests/unit/test_host_names.py"),
    Mutation("myaccount/settings/schema.py", ' and not is_loopback(reached)', "", "tests/unit/test_configuration.py"),
    Mutation("myaccount/ledger/maker_rules.py", "    return MONEY_IN if isinstance(order, Refund) else MONEY_OUT", "    return MONEY_OUT", "tests/unit/test_maker_rules.py"),
    Mutation("myaccount/ledger/maker_rules.py", "isinstance(order, Hold) and order.payee is None", "isinstance(order, Hold)", "tests/unit/test_maker_rules.py"),
    Mutation("myaccount/ledger/maker_rules.py", "        target = target if isinstance(target, Hold) else None\n", "", "tests/unit/test_maker_rules.py"),
    Mutation("myaccount/journal/order_query.py", " and (each.party is None or order.is_of(each.party))", "", "tests/service/test_orders.py"),
    Mutation("myaccount/journal/order_query.py", " AND {of_them}\", [*ids, *parties, *parties]", "\", ids", "tests/service/test_orders.py"),
    Mutation(ORDER_RULES, "        check_maker(command, state)\n", "", "tests/unit/test_maker_rules.py"),
    Mutation(BULK_RULES, "    try:\n        check_maker(order, state)\n        amount", "    try:\n        amount", "tests/unit/test_maker_rules.py"),
    Mutation("myaccount/access/snapshots.py", "while self._value is None or self._began <= oldest:", "while self._value is None:", "tests/unit/test_snapshots.py"),
    Mutation("myaccount/access/clock.py", "        if told > self.now():\n", "        if True:\n", "tests/unit/test_clock.py"),
    Mutation("myaccount/access/key_cache.py", "None if key is None or time.monotonic() >= key.ends_at", "None if key is None", "tests/database/test_access_keys.py"),
    Mutation("myaccount/access/key_cache.py", "compare_digest(hash_of(secret), key.hash)", "hash_of(secret) == key.hash", "tests/unit/test_key_cache.py"),
    Mutation("myaccount/inbox/catch_up.py", "    if look_up:\n", "    if True:\n", "tests/service/test_catch_up.py"),
    Mutation("myaccount/inbox/writing.py", "look_up=next(attempts) > 0", "look_up=False", "tests/service/test_catch_up_once.py"),
    Mutation("myaccount/access/key_cache.py", "if len(header) <= SHORTEST_HEADER:", "if True:", "tests/unit/test_key_cache.py"),
    Mutation("myaccount/access/scopes.py", '_OPERATOR | {"admin"}', '_OPERATOR | {"admin", CARDS}', "tests/service/test_roles.py"),
    Mutation("myaccount/access/authorisation.py", "None if caller is None or caller.scopes.isdisjoint(scopes) else caller", "caller", "tests/service/test_keys.py"),
    Mutation("myaccount/access/doers.py", "request.app[proxies_key].client_address(request)", 'request.headers.get("X-Forwarded-For", "127.0.0.1")', "tests/service/test_audit.py"),
    Mutation("myaccount/operations_port.py", ", *authentication(config)", "", "tests/service/test_operations_access.py"),
    Mutation("myaccount/controller/pages.py", "script-src 'self'; ", "script-src 'self' 'unsafe-inline'; ", "tests/service/test_page_policy.py"),
    Mutation("myaccount/cli/keys_command.py", '"d": "days"', '"d": "minutes"', "tests/deploy/test_keys_command.py"),
    Mutation("myaccount/access/key_rows.py", "_ROWS.where(api_key.c.revoked_at.is_(None))", "_ROWS", "tests/database/test_access_keys.py"),
    Mutation("myaccount/access/key_rows.py", "end = min(now + overlap, earlier.expires_at or datetime.max)", "end = now + overlap", "tests/database/test_access_keys.py"),
    Mutation("myaccount/access/signing.py", ".values(seen_at=now)", ".values(seen_at=signing_key.c.seen_at)", "tests/service/test_clock_set_back.py"),
    Mutation("myaccount/access/signing.py", "clock.tell(max(seen_at, theirs))", "clock.tell(theirs)", "tests/database/test_service_time.py"),
    Mutation("myaccount/access/rates.py", "        self.left -= 1\n", "", "tests/unit/test_rates.py"),
    Mutation("myaccount/access/shared_counts.py", "min(wanted, rate.per_second - (taken - wanted))", "wanted", "tests/service/test_rate_limits.py"),
    Mutation("myaccount/access/authorisation.py", "if scopes and caller.scopes.isdisjoint(scopes):", "if False:", "tests/service/test_keys.py"),
    # Random requests see them as well.
    Mutation("myaccount/ledger/maker_rules.py", "if scope is not None and scope not in maker.scopes:", "if False:", "tests/service/test_fuzz.py"),
    Mutation(GUARD, "request.method not in SAFE_METHODS and is_cross_site(request, hosts)", "False", "tests/service/test_fuzz.py"),
    Mutation(KINDS, "suppress(ValueError, OverflowError)", "suppress(ValueError)", "tests/service/test_fuzz.py"),
    Mutation("myaccount/access/tokens.py", "if expires_at > _seconds(signing.clock.now()) else None", "", "tests/service/test_user_tokens.py"),
    Mutation("myaccount/access/callers.py", 'self.only_user in (None, user_id)', "True", "tests/service/test_others_are_not_there.py"),
    Mutation("myaccount/controller/stream.py", "                        if sends_no_more(request):\n                            break\n", "", "tests/service/test_protocol.py"),
    Mutation("myaccount/controller/stream.py", "if found.messages and not await is_known_still(request):", "if False:", "tests/service/test_user_tokens.py"),
    Mutation("myaccount/controller/bulk.py", "    _check_scopes(caller, sent)\n", "", "tests/service/test_made_by.py"),
    Mutation("myaccount/access/callers.py", "if CARDS in self.scopes:", "if True:", "tests/service/test_made_by.py"),
    Mutation("myaccount/access/operators/cookies.py", "SECURE_NAME if secure else PLAIN_NAME}=\"", "PLAIN_NAME}=\"", "tests/service/test_operators.py"),
    Mutation("myaccount/access/operators/cookies.py", 'part.strip(" \\t")', "part.strip()", "tests/service/test_session_cookie.py"),
    Mutation("myaccount/access/operators/cookies.py", " if len(values) == 1 else None", " if values else None", "tests/service/test_session_cookie.py"),
    Mutation("myaccount/access/operators/cookies.py", " if expires_at > _seconds(signing.clock.now()) else None", "", "tests/service/test_operators.py"),
    Mutation("myaccount/access/operators/sessions.py", "min(self.expires_at, self.used_at + IDLE_LIMIT)", "self.expires_at", "tests/service/test_operators.py"),
    Mutation("myaccount/access/operators/sessions.py", "min(self.expires_at, self.used_at + IDLE_LIMIT)", "self.used_at + IDLE_LIMIT", "tests/service/test_operators.py"),
    Mutation("myaccount/access/operators/sessions.py", "now < used.used_at + NOTED_AGAIN or ", "", "tests/service/test_operators.py"),
    Mutation("myaccount/access/operators/sessions.py", "session.c.id.not_in(ids), ", "", "tests/service/test_operators.py"),
    Mutation("myaccount/access/operators/operator_rows.py", "            await _change(connection, found, role=role)\n            await _end_sessions(connection, found)\n", "            await _change(connection, found, role=role)\n", "tests/service/test_operators.py"),
    Mutation("myaccount/access/operators/operator_rows.py", ", session.c.id != keep)", ")", "tests/service/test_operators.py"),
    Mutation("myaccount/access/operators/operator_rows.py", "    theirs = delete(session).where(session.c.operator == ended.id, ", "    theirs = delete(session).where(", "tests/service/test_operators.py"),
    Mutation("myaccount/access/operators/sign_in.py", 'self._refusals.note("address", source, until[1], now)\n            if max(until) > now:', 'self._refusals.note("address", source, until[1], now)\n            if until[0] > now:', "tests/service/test_attempts.py"),
    Mutation("myaccount/access/operators/sign_in.py", "            if max(until) > now:\n                raise", "            if until[1] > now:\n                raise", "tests/service/test_attempts.py"),
    Mutation("myaccount/access/operators/attempts.py", ".where(found.c.what == SIGN_IN_FAILED)", "", "tests/service/test_attempts.py"),
    Mutation("myaccount/access/operators/attempts.py", ".where(column == value, signing_in)", ".where(column == value)", "tests/service/test_attempts.py"),
    Mutation("myaccount/access/authorisation.py", 'if caller.kind == "user" and resource', "if False and resource", "tests/service/test_turns.py"),
    Mutation("myaccount/access/authorisation.py", " and resource.canonical != STREAM_PATH:", ":", "tests/service/test_turns.py"),
    Mutation("myaccount/access/turns.py", "                line.free.release()", "                pass", "tests/service/test_turns.py"),
    Mutation("myaccount/access/turns.py", "                del self._lines[user_id]", "                pass", "tests/service/test_turns.py"),
    Mutation("myaccount/controller/stream.py", "feed.turn_to_catch_up(user_id) if behind else nullcontext()", "nullcontext()", "tests/service/test_stream_turns.py"),
    Mutation("myaccount/controller/stream.py", "                            await feed.turn()\n", "", "tests/service/test_stream_turns.py"),
    Mutation("myaccount/controller/stream.py", "behind = position.message_id != newest", "behind = False", "tests/service/test_stream_turns.py"),
    Mutation("myaccount/inbox/feed.py", "(time.monotonic() - began) * PAUSE_FACTOR", "0", "tests/service/test_stream_turns.py"),
    Mutation("myaccount/inbox/feed.py", "        one_connection = asyncio.Lock()", "        one_connection = asyncio.Semaphore(3)", "tests/service/test_stream_turns.py"),
    Mutation("myaccount/listener/live_notifications.py", " or len(own) >= READER_STREAMS_LIMIT", "", "tests/service/test_stream_turns.py"),
    Mutation("myaccount/access/operators/sign_in.py", '("name", shown_name(name, signing.secret))', '("name", name[:45])', "tests/service/test_attempts.py"),
    Mutation("myaccount/access/proxies.py", 'reversed(forwarded.rsplit(",", PROXIES_LIMIT)[-PROXIES_LIMIT:])', 'forwarded.split(",")', "tests/unit/test_proxies.py"),
    Mutation("myaccount/access/proxies.py", "        if self._trusts(client):\n", "        if True:\n", "tests/unit/test_proxies.py"),
    Mutation("myaccount/access/operators/passwords.py", "stored or self._nobody_s) and stored is not None", "stored) if stored else False", "tests/unit/test_passwords.py"),
    Mutation("myaccount/access/audit_rows.py", "    if row not in [dict(found) for", "    if True or row not in [dict(found) for", "tests/service/test_audit.py"),
    Mutation("myaccount/ledger/account_rules.py", "    if command.doer is not None:\n", "    if False:\n", "tests/service/test_audit.py"),
    Mutation("myaccount/controller/operator_pages.py", 'return value if _OWN_PAGE.fullmatch(value) else "/"', "return value", "tests/service/test_operators.py"),
    Mutation("deploy/nginx.conf", "        error_log /dev/null;\n", "", "tests/deploy/test_no_secrets.py"),
    Mutation(CALLBACKS, "return f\"the request failed: {self._reason(error)}\"", "return f\"the request failed: {self._url}\"", "tests/deploy/test_no_secrets.py"),
    Mutation("deploy/nginx.conf", "|signin|account/password)$", ")$", "tests/deploy/test_deployment.py"),
    Mutation("sql/migrations/versions/0004_access.py", "        if is_there and _has_rows(connection, table):\n            continue\n", "", "tests/database/test_access_migration.py"),
    Mutation(FAST_PATH, "                self._check(request)\n", "                pass\n", "tests/service/test_fast_path.py::test_generated_requests_from_elsewhere_get_the_same"),
    Mutation(FAST_HEADS, "known is not None and known.length == length", "known is not None", "tests/service/test_known_heads.py"),
    Mutation(FAST_PATH, " and ID_FIELD not in message.headers", "", "tests/service/test_known_heads.py"),
    Mutation(FAST_HEADS, "call_later(HEAD_SECONDS, self._heads.clear)", "time()", "tests/service/test_known_heads.py"),
    Mutation(FAST_HEADS, "        if len(head) > HEAD_BYTES_LIMIT:\n", "        if False:\n", "tests/service/test_known_heads.py"),
    Mutation(FAST_CONNECTION, ' and end != b""', "", "tests/service/test_known_heads.py"),
    Mutation(LOG_HANDLERS, "            if self._is_writing:\n", "            if False:\n", "tests/unit/test_log_handlers.py"),
    Mutation("myaccount/observability/access_log.py", " if _has_root_alone()", "", "tests/service/test_log.py"),
    Mutation("myaccount/observability/log_outputs.py", "self.stream or self._open()", "self.stream", "tests/unit/test_log_handlers.py"),
    Mutation(FAST_HEADS, "        if len(self._heads) >= HEADS_LIMIT:\n", "        if False:\n", "tests/service/test_known_heads.py"),
    Mutation(FAST_CONNECTION, "            self._is_between = True\n", "", "tests/service/test_known_heads.py"),
    Mutation("myaccount/access/guard.py", "not was_forwarded(request) and hdrs.ORIGIN not in request.headers", "True", "tests/service/test_known_heads.py"),
    Mutation(FAST_PATH, "        if caller.rate is not None and", "        if caller.rate is None and", "tests/service/test_fast_path.py::test_requests_beyond_a_rate_are_refused_alike"),
    Mutation(FAST_PATH, "        # A callback has a context of its own.\n        request_id.set(self._request.id)\n", "", "tests/service/test_fast_path.py::test_faults_are_answered_and_logged_alike"),
    Mutation(FAST_REQUEST, "return not self._ending.is_set()", "return True", "tests/service/test_fast_path_ends.py"),
    Mutation(FAST_PATH, "not (message.should_close or message.upgrade or message.chunked)", "True", "tests/service/test_fast_path.py::test_the_last_order_of_a_connection_gets_the_same"),
    Mutation(FAST_PATH, " or len(body) > operation.body_limit_bytes", "", "tests/service/test_fast_path.py::test_an_order_in_a_large_body_gets_the_same"),
    Mutation(FAST_REQUEST, "        if date is not self._date:\n", "        if not self._date:\n", "tests/service/test_fast_path.py::test_each_reply_has_the_date_of_its_second"),
    Mutation(FAST_PATH, "    await fast_path.close()\n", "", "tests/service/test_fast_path_ends.py"),
    Mutation(FAST_PATH, "        except Exception as error:\n            reply = error\n", "        except RequestError as error:\n            reply = error\n", "tests/service/test_fast_path.py::test_faults_of_queries_are_answered_and_logged_alike"),
    Mutation(FAST_PATH, "        if found.cancelled():\n            return\n", "", "tests/service/test_fast_path_ends.py"),
    Mutation(FAST_PATH, "        self._queries.discard(found)\n", "", "tests/service/test_fast_path.py::test_queries_that_were_answered_are_not_kept"),
    Mutation(COALESCING, "            fetched.set_exception(refusal)\n            return fetched\n", "            pass\n", "tests/database/test_coalescing.py"),
    Mutation(MONEY, "decimals + 1 + (amount < 0)", "decimals + 1", "tests/unit/test_money.py"),
    Mutation(FAST_REQUEST, "        if self._connection.gave_up:\n            return\n", "", "tests/service/test_fast_path_ends.py"),
    Mutation(FAST_CONNECTION, "len(rest) == payload.total_bytes", "True", "tests/service/test_fast_path.py::test_two_orders_that_are_cut_anywhere_get_the_same"),
    Mutation(FAST_CONNECTION, "            self._manager.requests_count += 1\n", "            pass\n", "tests/service/test_fast_path.py::test_the_counts_of_requests_by_which_workers_are_replaced_are_alike"),
    Mutation(FAST_CONNECTION, "            self._parser.message_consumed()\n", "            pass\n", "tests/service/test_fast_path.py::test_many_orders_and_then_several_at_once_get_the_same"),
    Mutation(FAST_CONNECTION, " and length in head.lower() + b\"\\r\\n\"", "", "tests/service/test_fast_path.py::test_an_upgrade_after_an_order_gets_the_same"),
    Mutation(FAST_CONNECTION, "        self._request_in_progress = True\n", "", "tests/service/test_fast_path_ends.py"),
    Mutation(FAST_CONNECTION, "            self._start_keepalive()\n", "", "tests/service/test_fast_path_ends.py"),
    Mutation(FAST_CONNECTION, "        if is_lost or not self.writing_paused:\n", "        if True:\n", "tests/service/test_fast_path_ends.py"),
    Mutation(FAST_CONNECTION, "(self._held is not None and not self._is_answered) or ", "", "tests/service/test_fast_path_ends.py"),
    Mutation(FAST_CONNECTION, "        super().connection_lost(exc)\n        if self._is_answered:\n", "        super().connection_lost(exc)\n        if False:\n", "tests/service/test_fast_path_ends.py"),
)  # fmt: skip
