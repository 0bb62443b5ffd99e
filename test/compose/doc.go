// Package compose tests the deployment files: that docker-compose.yml is one, that
// every setting, path and port in it is known to the program, that the NATS
// configuration is the one which the program renders, and that HAProxy accepts its
// own. With the build tag long it also starts all of it, in containers. It is a
// module of its own, so that the parser is no dependency of the program.
package compose
