package main

// A data set is small but has the things that go wrong in backups: text in many scripts, exact decimals, JSON, bytes that are no text, dates without
// a year, NULLs, foreign keys that point at themselves, a table without a key, and, on a real server, views, triggers, routines and an event.

// shopTables, staffTables and blogTables are the definitions of the three schemas, in order of their foreign keys.
var shopTables = [...]string{
	`CREATE TABLE customers (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(80) CHARACTER SET utf8mb4 NOT NULL,
  email VARCHAR(120) NOT NULL,
  country CHAR(2) NOT NULL,
  born DATE NULL,
  credit DECIMAL(12,2) NOT NULL,
  seen DATETIME(6) NULL,
  note TEXT CHARACTER SET utf8mb4 NULL,
  UNIQUE KEY email (email))`,
	`CREATE TABLE products (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  title VARCHAR(120) CHARACTER SET utf8mb4 NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  weight DOUBLE NULL,
  attributes JSON NULL,
  photo BLOB NULL)`,
	`CREATE TABLE orders (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id INT NOT NULL,
  placed DATETIME(3) NOT NULL,
  status ENUM('open','paid','sent','returned') NOT NULL,
  remark VARCHAR(200) CHARACTER SET utf8mb4 NULL,
  KEY customer_id (customer_id),
  CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id))`,
	`CREATE TABLE order_lines (
  order_id INT NOT NULL,
  line SMALLINT NOT NULL,
  product_id INT NOT NULL,
  quantity INT NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (order_id, line),
  KEY product_id (product_id),
  CONSTRAINT lines_order FOREIGN KEY (order_id) REFERENCES orders (id),
  CONSTRAINT lines_product FOREIGN KEY (product_id) REFERENCES products (id))`,
	// Without a key: rows may be equal, and their number matters.
	`CREATE TABLE clicks (
  at TIMESTAMP NULL,
  page VARCHAR(100) NOT NULL,
  visitor BINARY(16) NOT NULL)`,
}

var staffTables = [...]string{
	`CREATE TABLE employees (
  id INT NOT NULL PRIMARY KEY,
  manager_id INT NULL,
  name VARCHAR(80) CHARACTER SET utf8mb4 NOT NULL,
  hired DATE NOT NULL,
  salary DECIMAL(14,4) NOT NULL,
  skills SET('sales','packing','repair','accounts') NOT NULL,
  KEY manager_id (manager_id),
  CONSTRAINT employees_manager FOREIGN KEY (manager_id) REFERENCES employees (id))`,
	`CREATE TABLE shifts (
  employee_id INT NOT NULL,
  day DATE NOT NULL,
  starts TIME NOT NULL,
  hours DECIMAL(4,2) NOT NULL,
  PRIMARY KEY (employee_id, day),
  CONSTRAINT shifts_employee FOREIGN KEY (employee_id) REFERENCES employees (id))`,
}

var blogTables = [...]string{
	`CREATE TABLE posts (
  id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  title VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL,
  body MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL,
  published DATETIME NULL,
  tags JSON NULL)`,
	`CREATE TABLE comments (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  post_id BIGINT UNSIGNED NOT NULL,
  author VARCHAR(80) CHARACTER SET utf8mb4 NULL,
  body TEXT CHARACTER SET utf8mb4 NOT NULL,
  written TIMESTAMP NULL,
  KEY post_id (post_id),
  CONSTRAINT comments_post FOREIGN KEY (post_id) REFERENCES posts (id))`,
}

// shopViews depend on each other in the order opposite to their names, so that restoring them by name fails.
var shopViews = [...]string{
	`CREATE VIEW z_turnover AS SELECT o.id, o.customer_id, SUM(l.quantity * l.price) AS amount
  FROM orders o JOIN order_lines l ON l.order_id = o.id GROUP BY o.id, o.customer_id`,
	`CREATE VIEW best_customers AS SELECT c.name, SUM(t.amount) AS amount
  FROM customers c JOIN z_turnover t ON t.customer_id = c.id GROUP BY c.id, c.name`,
}

// shopRoutines come after the rows, so that the trigger does not fire for them.
var shopRoutines = [...]string{
	`CREATE TABLE price_history (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, product_id INT NOT NULL, old DECIMAL(10,2) NOT NULL, new DECIMAL(10,2) NOT NULL)`,
	`CREATE TRIGGER products_price AFTER UPDATE ON products FOR EACH ROW
BEGIN
  -- only what changed; the ';' here is no end
  IF NEW.price <> OLD.price THEN
    INSERT INTO price_history (product_id, old, new) VALUES (OLD.id, OLD.price, NEW.price);
  END IF;
END`,
	`CREATE FUNCTION gross(net DECIMAL(10,2)) RETURNS DECIMAL(10,2) DETERMINISTIC RETURN ROUND(net * 1.19, 2)`,
	`CREATE PROCEDURE raise_prices(IN percent INT)
BEGIN
  UPDATE products SET price = price + price * percent / 100 WHERE id % 7 = 0;
END`,
	`CREATE EVENT forget_clicks ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM clicks WHERE at < NOW() - INTERVAL 90 DAY`,
	`CALL raise_prices(5)`,
}

// accountStatements make the accounts of a server of our own.
var accountStatements = [...]string{
	`CREATE USER 'shop_app'@'localhost' IDENTIFIED BY 'it''s a secret'`,
	`GRANT SELECT, INSERT, UPDATE ON shop.* TO 'shop_app'@'localhost'`,
	`GRANT EXECUTE ON PROCEDURE shop.raise_prices TO 'shop_app'@'localhost'`,
	`CREATE USER 'clerk'@'192.0.2.%' IDENTIFIED BY 'x'`,
	`GRANT SELECT (id, name), UPDATE (note) ON shop.customers TO 'clerk'@'192.0.2.%'`,
}
