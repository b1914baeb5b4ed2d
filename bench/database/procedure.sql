-- One transfer in one call: the least that the database alone can be asked for, with the service's guarantees.
-- An order id that was used before is found by its unique key. No row is read that is not written: balances and
-- numbers are caught as they are set. The two accounts are locked in the order of their keys, as every writer does.

DELIMITER //

CREATE PROCEDURE transfer (IN new_order_id VARCHAR(45), IN payer BIGINT, IN payee BIGINT, IN moved BIGINT)
BEGIN
    DECLARE EXIT HANDLER FOR SQLEXCEPTION
    BEGIN
        ROLLBACK;
        RESIGNAL;
    END;
    UPDATE account SET
        balance = IF(id = payer, @from_balance := balance - moved, @to_balance := balance + moved),
        last_entry = IF(id = payer, @from_entry := last_entry + 1, @to_entry := last_entry + 1)
    WHERE id IN (payer, payee) AND status = 'open'
        AND IF(id = payer,
               balance - (@held := held) - moved >= floor AND frozen IN ('none', 'credits'),
               frozen IN ('none', 'debits'));
    IF ROW_COUNT() = 2 THEN
        INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, status, created_at)
        VALUES (new_order_id, '02', payer, payee, moved, 'posted', UTC_TIMESTAMP(6));
        INSERT INTO entry (account, number, order_id, amount, balance)
        VALUES (payer, @from_entry, new_order_id, -moved, @from_balance),
            (payee, @to_entry, new_order_id, moved, @to_balance);
        -- The change as the service's events have it. Account n is that of user n - 1.
        INSERT INTO event (body, attempts, due_at, created_at)
        VALUES (CONCAT('[["transfer","', new_order_id, '","u', payer - 1, '","u', payee - 1, '",', moved, ',',
                       @from_balance, ',', @to_balance, ',null,', @from_entry, ',', @to_entry, ',"CNY","a', payer - 1,
                       '","a', payee - 1, '","transfer",null,null,null,', @held, ',null,null,null]]'),
                0, UTC_TIMESTAMP(6) + INTERVAL 3 SECOND, UTC_TIMESTAMP(6));
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
END //

DELIMITER ;
