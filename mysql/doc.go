// Package mysql backs up and restores MariaDB and MySQL servers.
package mysql
