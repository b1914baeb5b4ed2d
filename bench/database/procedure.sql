-- One transfer in one call: the least that the database alone can be asked for, with the service's guarantees.
-- An order id that was used before is refused by its unique key. No row is read that is not written: the two
-- balances after are caught as they are set. The lower key is locked first, as every writer does.

DELIMITER //

CREATE PROCEDURE transfer (IN new_order_id VARCHAR(45), IN payer BIGINT, IN payee BIGINT, IN moved BIGINT)
BEGIN
    DECLARE posted INT;
    START TRANSACTION;
    IF payer < payee THEN
        UPDATE account SET balance = (@from_balance := balance - moved)
        WHERE id = payer AND balance - moved >= floor;
        SET posted = ROW_COUNT();
        UPDATE account SET balance = (@to_balance := balance + moved) WHERE posted AND id = payee;
    ELSE
        UPDATE account SET balance = (@to_balance := balance + moved) WHERE id = payee;
        UPDATE account SET balance = (@from_balance := balance - moved)
        WHERE id = payer AND balance - moved >= floor;
        SET posted = ROW_COUNT();
    END IF;
    IF posted THEN
        INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, from_balance, to_balance,
                             status, created_at)
        VALUES (new_order_id, '02', payer, payee, moved, @from_balance, @to_balance, 'posted', UTC_TIMESTAMP(6));
        COMMIT;
    ELSE
        ROLLBACK;
    END IF;
END //

DELIMITER ;
