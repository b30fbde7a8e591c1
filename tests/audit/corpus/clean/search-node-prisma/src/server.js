const fastify = require("fastify")();
const { PrismaClient } = require("@prisma/client");
const prisma = new PrismaClient();
fastify.get("/pages/:id", (request) => prisma.page.findUnique({ where: { id: Number(request.params.id) } }));
fastify.listen({ port: 3000, host: "0.0.0.0" });
