-- Sets up an empty MySQL 8 or MariaDB 10.11 database as `myaccount migrate` does:  mariadb DATABASE < sql/sql.sql
-- Written by `make sql` from sql/migrations; a test holds the two together.

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

-- Running upgrade  -> 0001

CREATE TABLE delivery (
    id BIGINT NOT NULL AUTO_INCREMENT,
    endpoint VARCHAR(16) NOT NULL,
    webhook_id VARCHAR(45) NOT NULL,
    body MEDIUMTEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at DATETIME(6),
    error VARCHAR(500),
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_delivery_endpoint ON delivery (endpoint, due_at);

CREATE TABLE endpoint_off (
    endpoint VARCHAR(16) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (endpoint)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE event (
    id BIGINT NOT NULL AUTO_INCREMENT,
    body MEDIUMTEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at DATETIME(6),
    error VARCHAR(500),
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_event_due_at ON event (due_at);

CREATE TABLE folder (
    reader_id VARCHAR(45) NOT NULL,
    team_id VARCHAR(45) NOT NULL,
    message_type VARCHAR(20) NOT NULL,
    own BOOL NOT NULL,
    total INTEGER NOT NULL,
    unread INTEGER NOT NULL,
    PRIMARY KEY (reader_id, team_id, message_type, own)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE message (
    id BIGINT NOT NULL AUTO_INCREMENT,
    reader_id VARCHAR(45) NOT NULL,
    team_id VARCHAR(45) NOT NULL,
    message_type VARCHAR(20) NOT NULL,
    own BOOL NOT NULL,
    unread BOOL NOT NULL,
    source_id VARCHAR(45) NOT NULL,
    user_id VARCHAR(45) NOT NULL,
    user_name VARCHAR(45) NOT NULL,
    team_name VARCHAR(45) NOT NULL,
    receiver_id VARCHAR(45) NOT NULL,
    title VARCHAR(100) NOT NULL,
    body TEXT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_message_source_id UNIQUE (source_id, reader_id, team_id, message_type)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_message_reader ON message (reader_id, id);

CREATE INDEX ix_message_reader_id ON message (reader_id, team_id, message_type, own, unread, id);

CREATE TABLE team (
    id BIGINT NOT NULL AUTO_INCREMENT,
    team_id VARCHAR(45) NOT NULL,
    team_name VARCHAR(45) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_team_team_id UNIQUE (team_id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE user (
    id BIGINT NOT NULL AUTO_INCREMENT,
    user_id VARCHAR(45) NOT NULL,
    user_name VARCHAR(45) NOT NULL,
    sex VARCHAR(2) NOT NULL,
    card_num VARCHAR(45) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_user_user_id UNIQUE (user_id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE account (
    id BIGINT NOT NULL AUTO_INCREMENT,
    account_id VARCHAR(45) NOT NULL,
    account_type VARCHAR(45) NOT NULL,
    user_id VARCHAR(45),
    currency VARCHAR(3) NOT NULL,
    balance BIGINT NOT NULL,
    floor BIGINT,
    team_id VARCHAR(45),
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ck_account_floor CHECK (floor IS NULL OR balance >= floor),
    CONSTRAINT uq_account_account_id UNIQUE (account_id),
    CONSTRAINT fk_account_user_id FOREIGN KEY(user_id) REFERENCES user (user_id),
    CONSTRAINT fk_account_team_id FOREIGN KEY(team_id) REFERENCES team (team_id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_account_team_id ON account (team_id);

CREATE INDEX ix_account_user_id ON account (user_id);

CREATE TABLE team_member (
    team_id VARCHAR(45) NOT NULL,
    user_id VARCHAR(45) NOT NULL,
    PRIMARY KEY (team_id, user_id),
    CONSTRAINT fk_team_member_team_id FOREIGN KEY(team_id) REFERENCES team (team_id),
    CONSTRAINT fk_team_member_user_id FOREIGN KEY(user_id) REFERENCES user (user_id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_team_member_user_id ON team_member (user_id);

CREATE TABLE `order` (
    id BIGINT NOT NULL AUTO_INCREMENT,
    order_id VARCHAR(45) NOT NULL,
    order_type VARCHAR(45) NOT NULL,
    from_account BIGINT NOT NULL,
    to_account BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    from_balance BIGINT NOT NULL,
    to_balance BIGINT NOT NULL,
    status VARCHAR(10) NOT NULL,
    reason VARCHAR(45),
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ck_order_amount CHECK (amount > 0),
    CONSTRAINT uq_order_order_id UNIQUE (order_id),
    CONSTRAINT fk_order_from_account FOREIGN KEY(from_account) REFERENCES account (id),
    CONSTRAINT fk_order_to_account FOREIGN KEY(to_account) REFERENCES account (id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_order_from_account ON `order` (from_account);

CREATE INDEX ix_order_to_account ON `order` (to_account);

-- Stands for everything outside the ledger: the other side of every recharge.
INSERT INTO account (id, account_id, account_type, user_id, currency, balance, floor, created_at)
VALUES (1, 'outside CNY', 'external', NULL, 'CNY', 0, NULL, UTC_TIMESTAMP(6));

INSERT INTO alembic_version (version_num) VALUES ('0001');

-- Running upgrade 0001 -> 0002

ALTER TABLE account ADD COLUMN last_entry BIGINT NOT NULL DEFAULT 0;

UPDATE account SET last_entry =
    (SELECT COUNT(*) FROM `order` WHERE from_account = account.id AND status = 'posted')
    + (SELECT COUNT(*) FROM `order` WHERE to_account = account.id AND status = 'posted');

UPDATE alembic_version SET version_num='0002' WHERE alembic_version.version_num = '0001';

-- Running upgrade 0002 -> 0003

CREATE TABLE account_change (
    id BIGINT NOT NULL AUTO_INCREMENT,
    change_id VARCHAR(45) NOT NULL,
    account BIGINT NOT NULL,
    setting VARCHAR(10) NOT NULL,
    value VARCHAR(45) NOT NULL,
    reason VARCHAR(200) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_account_change_change_id UNIQUE (change_id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_account_change_account ON account_change (account, id);

CREATE TABLE bulk (
    id BIGINT NOT NULL AUTO_INCREMENT,
    bulk_id VARCHAR(45) NOT NULL,
    fingerprint VARCHAR(32) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_bulk_bulk_id UNIQUE (bulk_id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE entry (
    account BIGINT NOT NULL,
    number BIGINT NOT NULL,
    order_id VARCHAR(45) NOT NULL,
    amount BIGINT NOT NULL,
    balance BIGINT NOT NULL,
    PRIMARY KEY (account, number)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE hold (
    id BIGINT NOT NULL AUTO_INCREMENT,
    order_id VARCHAR(45) NOT NULL,
    payer BIGINT NOT NULL,
    payee BIGINT NOT NULL,
    remaining BIGINT NOT NULL,
    captured BIGINT NOT NULL,
    status VARCHAR(8) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    due_at DATETIME(6),
    PRIMARY KEY (id),
    CONSTRAINT ck_hold_remaining CHECK (remaining >= 0 AND captured >= 0),
    CONSTRAINT uq_hold_order_id UNIQUE (order_id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_hold_due_at ON hold (due_at);

CREATE INDEX ix_hold_payer ON hold (payer, due_at);

RENAME TABLE `order` TO order_0002;

INSERT INTO entry (account, number, order_id, amount, balance)
SELECT side.account,
    COALESCE((SELECT made.number FROM entry AS made WHERE made.account = side.account
        ORDER BY made.number DESC LIMIT 1), 0)
    + ROW_NUMBER() OVER (PARTITION BY side.account ORDER BY side.id, side.amount),
    side.order_id, side.amount, side.balance
FROM (
    SELECT id, order_id, from_account AS account, -amount AS amount,
        CASE WHEN from_account = to_account THEN from_balance - amount ELSE from_balance END AS balance
    FROM `order_0002` WHERE status = 'posted' AND id > 0
    UNION ALL
    SELECT id, order_id, to_account, amount, to_balance
    FROM `order_0002` WHERE status = 'posted' AND id > 0
) AS side;

UPDATE account SET last_entry = COALESCE((SELECT number FROM entry WHERE entry.account = account.id ORDER BY number DESC LIMIT 1), 0);

UPDATE `order_0002` SET order_type = '02' WHERE order_type IN ('03', '04', '05', '06', '07', '08');

ALTER TABLE order_0002 DROP FOREIGN KEY fk_order_from_account, DROP FOREIGN KEY fk_order_to_account;

ALTER TABLE order_0002 DROP INDEX ix_order_from_account, DROP INDEX ix_order_to_account;

ALTER TABLE order_0002 DROP COLUMN from_balance, DROP COLUMN to_balance;

ALTER TABLE order_0002 ADD COLUMN refunded BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN fingerprint VARCHAR(32),
    ADD COLUMN target_order_id VARCHAR(45),
    ADD COLUMN bulk_id VARCHAR(45),
    ADD COLUMN note VARCHAR(200),
    ADD COLUMN reference VARCHAR(64);

ALTER TABLE order_0002 ADD CONSTRAINT ck_order_refunded CHECK (refunded >= 0 AND refunded <= amount);

RENAME TABLE order_0002 TO `order`;

ALTER TABLE account /*M!100200 DROP CONSTRAINT ck_account_floor */ /*!80016 DROP CHECK ck_account_floor */;

ALTER TABLE account ADD COLUMN held BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN frozen VARCHAR(7) NOT NULL DEFAULT 'none',
    ADD COLUMN status VARCHAR(6) NOT NULL DEFAULT 'open';

ALTER TABLE account ADD CONSTRAINT ck_account_available CHECK (floor IS NULL OR balance - held >= floor);

ALTER TABLE account ADD CONSTRAINT ck_account_held CHECK (held >= 0);

UPDATE alembic_version SET version_num='0003' WHERE alembic_version.version_num = '0002';

-- Running upgrade 0003 -> 0004

ALTER TABLE `order` ADD COLUMN made_by VARCHAR(45);

ALTER TABLE `account_change` ADD COLUMN made_by VARCHAR(45);

CREATE TABLE api_key (
    id BIGINT NOT NULL AUTO_INCREMENT,
    key_id VARCHAR(12) NOT NULL,
    name VARCHAR(45) NOT NULL,
    secret_hash VARCHAR(64) NOT NULL,
    scopes VARCHAR(500) NOT NULL,
    rate_per_second INTEGER,
    created_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6),
    revoked_at DATETIME(6),
    PRIMARY KEY (id),
    CONSTRAINT uq_api_key_key_id UNIQUE (key_id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_api_key_name ON api_key (name);

CREATE TABLE audit (
    id BIGINT NOT NULL AUTO_INCREMENT,
    at DATETIME(6) NOT NULL,
    who_kind VARCHAR(12) NOT NULL,
    who VARCHAR(45) NOT NULL,
    what VARCHAR(45) NOT NULL,
    about_kind VARCHAR(12) NOT NULL,
    about VARCHAR(45) NOT NULL,
    address VARCHAR(45) NOT NULL,
    request_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_audit_about ON audit (about, id);

CREATE INDEX ix_audit_at ON audit (at, id);

CREATE INDEX ix_audit_what ON audit (what, id);

CREATE INDEX ix_audit_who ON audit (who, id);

CREATE TABLE operator (
    id BIGINT NOT NULL AUTO_INCREMENT,
    name VARCHAR(45) NOT NULL,
    `role` VARCHAR(10) NOT NULL,
    password_hash VARCHAR(200) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    removed_at DATETIME(6),
    PRIMARY KEY (id),
    CONSTRAINT uq_operator_name UNIQUE (name)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE session (
    id BIGINT NOT NULL AUTO_INCREMENT,
    secret_hash VARCHAR(64) NOT NULL,
    operator BIGINT NOT NULL,
    address VARCHAR(45) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    used_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_session_secret_hash UNIQUE (secret_hash)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_session_expires_at ON session (expires_at);

CREATE INDEX ix_session_operator ON session (operator);

CREATE TABLE signing_key (
    id BIGINT NOT NULL AUTO_INCREMENT,
    secret VARCHAR(64) NOT NULL,
    seen_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO signing_key (id, secret, seen_at) VALUES (1, LOWER(HEX(RANDOM_BYTES(32))), UTC_TIMESTAMP(6));

UPDATE alembic_version SET version_num='0004' WHERE alembic_version.version_num = '0003';

-- Running upgrade 0004 -> 0005

ALTER TABLE entry ADD COLUMN held BIGINT;

CREATE TABLE inbox_mark (
    account BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (account)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO inbox_mark (account, number) SELECT id, last_entry FROM account WHERE user_id IS NOT NULL;

UPDATE alembic_version SET version_num='0005' WHERE alembic_version.version_num = '0004';

-- Running upgrade 0005 -> 0006

CREATE TABLE decline (
    account BIGINT NOT NULL,
    number BIGINT NOT NULL,
    order_id VARCHAR(45) NOT NULL,
    entry BIGINT NOT NULL,
    balance BIGINT NOT NULL,
    held BIGINT,
    PRIMARY KEY (account, number)
) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE account ADD COLUMN last_decline BIGINT NOT NULL DEFAULT 0;

ALTER TABLE inbox_mark ADD COLUMN declines BIGINT NOT NULL DEFAULT 0;

UPDATE alembic_version SET version_num='0006' WHERE alembic_version.version_num = '0005';
